"""Dead letters name their images without what would open them."""

from __future__ import annotations

import pyarrow as pa

from cardbeam.tables.parsing.redacted import redacted_dead_letters

_SCHEMA = pa.schema([("item_id", pa.string()), ("uris", pa.list_(pa.string())), ("code", pa.string())])


def _table(*rows: tuple[str, list[str]]) -> pa.Table:
    return pa.table([[item for item, _ in rows], [uris for _, uris in rows], ["error_1"] * len(rows)], schema=_SCHEMA)


def test_queries_are_left_out() -> None:
    """Two images that differ by their query alone stay apart, and no other URI changes."""
    rows = _table(
        ("0123456789abcdef0123", ["https://h/a?sig=1", "s3://b/c?d"]),
        ("fedcba9876543210fedc", ["https://h/a?sig=2"]),
        ("00", []),
    )
    assert redacted_dead_letters(rows).equals(
        _table(
            ("0123456789abcdef0123", ["https://h/a?…#0123456789abcdef", "s3://b/c?d"]),
            ("fedcba9876543210fedc", ["https://h/a?…#fedcba9876543210"]),
            ("00", []),
        )
    )


def test_rows_without_a_query_are_the_same() -> None:
    """The table itself, not a copy."""
    rows = _table(("00", ["https://h/a.jpg", "/x?y"]))
    assert redacted_dead_letters(rows) is rows
