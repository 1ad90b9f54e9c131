"""Files of a table are merged into few, with the same rows, that say what they cannot hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cardbeam.model.part import WrittenFile
from cardbeam.storage.folder import LocalFolder
from cardbeam.tables.files.compaction import merge
from cardbeam.tables.files.parquet_options import ROW_GROUP_ROWS, in_order
from cardbeam.tables.files.table_file import TableRows, open_staging, write_parquet
from schemas.document_tables import schema_of
from tests.records import hex_id

_TABLE, _RUN = "documents/type=passport", "night"


def write_staging(folder: LocalFolder, rows: TableRows) -> WrittenFile:
    with open_staging(folder, rows) as file:
        for start in range(0, len(rows.rows), 4096):
            file.write(rows.rows.slice(start, 4096))
    return file.written


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


@pytest.mark.parametrize("write", [write_parquet, write_staging])
def test_merge(tmp_path: Path, write: Callable[[LocalFolder, TableRows], WrittenFile]) -> None:
    """The merged file has every row of its parts, one part after the other; made again it is the same file."""
    folder = LocalFolder(str(tmp_path))
    parts = [_rows(range(0, 300)), _rows(range(300, 310)), _rows(range(310, 700))]
    files = [write(folder, TableRows(_TABLE, _RUN, f"part-{n}", rows)) for n, rows in enumerate(parts)]
    (merged,) = merge(folder, files)
    content = folder.read(merged.path)
    assert pq.read_table(tmp_path / merged.path, partitioning=None).equals(pa.concat_tables(parts))
    assert (merged.rows, merged.size_bytes) == (700, len(content))
    assert (list(merge(folder, reversed(files))), folder.read(merged.path)) == ([merged], content)


def test_a_part_alone_keeps_its_name(tmp_path: Path) -> None:
    """The table of a run of one part is named after it and its columns: with others, it is another file."""
    folder = LocalFolder(str(tmp_path))
    rows = _rows(range(300))
    (merged,) = merge(folder, [write_staging(folder, TableRows(_TABLE, _RUN, "part-0", rows))])
    assert (merged.rows, pq.read_table(tmp_path / merged.path, partitioning=None)) == (300, rows)
    fewer = rows.drop_columns(["id"])
    (other,) = merge(folder, [write_staging(folder, TableRows(_TABLE, _RUN, "part-0", fewer))])
    names = [Path(one.path).name.rpartition("-") for one in (merged, other)]
    assert ([name for name, _, _ in names], names[0] == names[1]) == (["part-0", "part-0"], False)


def test_files_are_cut_at_their_bound(tmp_path: Path) -> None:
    """A file takes no group that would carry it over the bound; all rows are there, in the order of the parts."""
    folder = LocalFolder(str(tmp_path))
    numbers = [range(n * ROW_GROUP_ROWS, (n + 1) * ROW_GROUP_ROWS) for n in range(3)]
    parts = [TableRows(_TABLE, _RUN, f"part-{n}", _rows(one)) for n, one in enumerate(numbers)]
    files = [write_staging(folder, part) for part in parts]
    (alone,) = merge(folder, files[:1])
    group = pq.ParquetFile(tmp_path / alone.path).metadata.row_group(0)
    group_bytes = sum(group.column(number).total_compressed_size for number in range(group.num_columns))
    for file_bytes, rows in ((1, [1, 1, 1]), (group_bytes * 5 // 2, [2, 1])):
        merged = list(merge(folder, files, file_bytes))
        assert [file.rows for file in merged] == [groups * ROW_GROUP_ROWS for groups in rows]
        read = [pq.read_table(tmp_path / file.path, partitioning=None) for file in merged]
        assert pa.concat_tables(read).equals(pa.concat_tables(part.rows for part in parts))


def test_order() -> None:
    """Rows stand by first URI, whatever came first, and a request without an image is no error."""
    rows = pa.table({"item_id": ["b", "a", "c"], "uris": pa.array([["2", "1"], ["3"], []], pa.list_(pa.string()))})
    assert in_order(rows)["item_id"].to_pylist() == ["b", "a", "c"]


def test_statistics(tmp_path: Path) -> None:
    """Dates and texts have bounds, boxes and images none, ids a filter that rules row groups out."""
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
