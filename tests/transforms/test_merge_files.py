"""Files of a table are merged into few, with the same rows, in order, that say what they cannot hold."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.arrow import schema_of
from tests.records import hex_id
from transforms.elements import WrittenFile
from transforms.merge_files import merge, packed
from transforms.parquet_shape import in_order
from transforms.read_answers import TableRows
from transforms.storage import LocalFolder
from transforms.write_tables import write_parquet

_TABLE, _RUN = "documents/type=passport", "night"


def _rows(numbers: range) -> pa.Table:
    schema = schema_of("passport")
    columns = {
        "item_id": [hex_id(number) for number in numbers],
        "document_index": [0 for _ in numbers],
        "uris": [[f"{number * 7919 % 1000:04}.jpg", "copy.jpg"] for number in numbers],
        "id": [f"B{number:07}" for number in numbers],
    }
    missing = {field.name: [None] * len(numbers) for field in schema if field.name not in columns}
    columns |= missing
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def _file(name: str, size_bytes: int) -> WrittenFile:
    return WrittenFile(_RUN, _TABLE, name, 1, size_bytes)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [((), []), ((9,), [[9]]), ((4, 4, 4), [[4, 4], [4]]), ((50, 1), [[50], [1]]), ((5, 5), [[5, 5]])],
)
def test_packed(sizes: tuple[int, ...], expected: list[list[int]]) -> None:
    """Files go together up to the bound; a larger one stays alone."""
    files = [_file(f"{number}", size) for number, size in enumerate(sizes)]
    assert [[file.size_bytes for file in group] for group in packed(reversed(files), file_bytes=10)] == expected


def test_merge(tmp_path: Path) -> None:
    """The merged file has every row of its parts by URI; made again it is the same file."""
    folder = LocalFolder(str(tmp_path))
    parts = [_rows(range(0, 300)), _rows(range(300, 310)), _rows(range(310, 700))]
    files = [write_parquet(folder, TableRows(_TABLE, _RUN, f"part-{n}", rows)) for n, rows in enumerate(parts)]
    merged = merge(folder, files)
    content = folder.read(merged.path)
    assert pq.read_table(tmp_path / merged.path, partitioning=None).equals(in_order(pa.concat_tables(parts)))
    assert (merged.rows, merged.size_bytes) == (700, len(content))
    assert (merge(folder, files), folder.read(merged.path)) == (merged, content)


def test_order() -> None:
    """Rows stand by first URI, whatever came first, and a request without a picture is no error."""
    rows = pa.table({"item_id": ["b", "a", "c"], "uris": pa.array([["2", "1"], ["3"], []], pa.list_(pa.string()))})
    assert in_order(rows)["item_id"].to_pylist() == ["b", "a", "c"]


def test_statistics(tmp_path: Path) -> None:
    """Dates and texts have bounds, boxes and pictures none, ids a filter that rules row groups out."""
    written = write_parquet(LocalFolder(str(tmp_path)), TableRows(_TABLE, _RUN, "part", _rows(range(5000))))
    path = tmp_path / written.path
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = {group.column(number).path_in_schema: group.column(number) for number in range(group.num_columns)}
    with_bounds = {name.split(".")[0] for name, column in columns.items() if column.is_stats_set}
    assert {"item_id", "id", "dob", "valid", "dob_confidence", "called_at", "uris"} <= with_bounds
    assert {"image", "dob_box"} & with_bounds == set()
    assert "RLE_DICTIONARY" in columns["nationality"].encodings
    assert "RLE_DICTIONARY" not in columns["item_id"].encodings
    filtered = "SELECT path_in_schema FROM parquet_metadata(?) WHERE bloom_filter_offset IS NOT NULL ORDER BY ALL"
    assert duckdb.execute(filtered, [str(path)]).fetchall() == [("id",), ("item_id",), ("person_number",)]
    probe = "SELECT bloom_filter_excludes FROM parquet_bloom_probe(?, 'item_id', ?)"
    found = [duckdb.execute(probe, [str(path), hex_id(number)]).fetchall() for number in (42, 10**6)]
    assert found == [[(False,)], [(True,)]]
