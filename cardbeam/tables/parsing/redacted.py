"""Dead letters without the queries of web URIs: they go to whoever asks for a new photo, and a query may be a
signature that fetches the image. The ledger keeps the whole URI, and `replay` reads that."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from cardbeam.storage.uris import redact

_MAY_HOLD_A_SECRET = r"(?i)^https?://.*[?#@]"
_ID_CHARACTERS = 16


def redacted_dead_letters(rows: pa.Table) -> pa.Table:
    """Rows of dead letters whose `uris` hold no query; those of two images stay apart by the beginning of item_id."""
    texts = pc.list_flatten(rows["uris"])
    if not pc.any(pc.match_substring_regex(texts, _MAY_HOLD_A_SECRET)).as_py():
        return rows
    pairs = zip(rows["item_id"].to_pylist(), rows["uris"].to_pylist(), strict=True)
    uris = [[_redacted(uri, item_id) for uri in named] for item_id, named in pairs]
    number = rows.schema.get_field_index("uris")
    return rows.set_column(number, rows.schema.field(number), pa.array(uris, rows.schema.field(number).type))


def _redacted(uri: str, item_id: str) -> str:
    shown = redact(uri)
    return shown if shown == uri else f"{shown}#{item_id[:_ID_CHARACTERS]}"
