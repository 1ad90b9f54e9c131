"""Each engine reads the Parquet files as docs/tables.md says: every row, types and partitions as they are."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from cardbeam.storage.folder import LocalFolder
from schemas.document_tables import schema_of, schema_of_all
from schemas.documents import DOCUMENTS
from tests.engines import install
from tests.pipeline.nights import FIRST, SECOND, ledger_record, write_run

_EARLIEST, _LATEST = date(1, 1, 1), date(9999, 12, 31)
Row = tuple[Any, ...]
_EXPECTED: list[Row] = [
    (FIRST, "N-1", _EARLIEST, 20, "B2", "C-000", "s3://b/1.jpg"),
    (SECOND, "N-2", _LATEST, 20, "B2", "C-000", "s3://b/2.jpg"),
]
"""Run, number, birth, left edge of its box, class, a label and the first URI."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two runs with a driving licence each, whose dates are the first and the last that a column holds."""
    folder = LocalFolder(str(tmp_path_factory.mktemp("output")))
    for number, (run_id, born) in enumerate(((FIRST, "01-01-0001"), (SECOND, "31-12-9999")), start=1):
        info = {"id": f"N-{number}", "dob": born, "dob_box": [20, 1, 2, 3], "class": "B2"}
        data = [{"type": "driving_license", "info": info}, {"type": "passport", "info": {"id": f"P-{number}"}}]
        response = json.dumps({"errorCode": "0", "data": data}).encode()
        write_run(folder, run_id, [ledger_record(run_id, 0, (f"s3://b/{number}.jpg",), response=response)])
    return folder.root


def _duckdb(root: str) -> list[Row]:
    import duckdb

    files = f"{root}/documents/type=driving_license/*/*.parquet"
    return duckdb.sql(
        "SELECT run_id, id, dob, dob_box.left, class, labels['customer_id'], uris[1] FROM "
        f"read_parquet('{files}', union_by_name = true, hive_types = {{'run_id': VARCHAR}}) ORDER BY run_id"
    ).fetchall()


def _of_arrow(rows: Any) -> list[Row]:
    return sorted(
        (row["run_id"], row["id"], row["dob"], row["dob_box"]["left"], row["class"],
         dict(row["labels"])["customer_id"], row["uris"][0])
        for row in rows.to_pylist()
    )  # fmt: skip


def _pyarrow(root: str) -> list[Row]:
    import pyarrow as pa
    import pyarrow.dataset as ds

    schema = schema_of("driving_license").append(pa.field("run_id", pa.string()))
    files = ds.dataset(f"{root}/documents/type=driving_license", schema=schema, partitioning="hive")
    return _of_arrow(files.to_table())


def _polars(root: str) -> list[Row]:
    import polars as pl

    files = f"{root}/documents/type=driving_license/*/*.parquet"
    rows = pl.scan_parquet(files, hive_schema={"type": pl.String, "run_id": pl.String}, missing_columns="insert")
    return sorted(
        (row["run_id"], row["id"], row["dob"], row["dob_box"]["left"], row["class"],
         row["labels"]["customer_id"], row["uris"][0])
        for row in rows.collect().to_dicts()
    )  # fmt: skip


def _pandas(root: str) -> list[Row]:
    try:
        sys.path.append(str(install.packages("pandas")))
    except install.NotInstalled as why:
        pytest.skip(str(why))
    import pandas as pd
    import pyarrow as pa

    schema = schema_of("driving_license").append(pa.field("run_id", pa.string()))
    rows = pd.read_parquet(
        f"{root}/documents/type=driving_license", schema=schema, partitioning="hive", dtype_backend="pyarrow"
    )
    return _of_arrow(pa.Table.from_pandas(rows, schema=schema, preserve_index=False))


def _chdb(root: str) -> list[Row]:
    chdb = pytest.importorskip("chdb", reason="chdb, of half a GB, is in no extra: pip install chdb")
    shown = chdb.query(
        "SELECT extract(_path, 'run_id=([^/]+)') AS run_id, id, toString(dob), tupleElement(dob_box, 'left'), class, "
        f"labels['customer_id'], uris[1] FROM file('{root}/documents/type=driving_license/*/*.parquet', Parquet) "
        "ORDER BY run_id",
        "JSONCompactEachRow",
    )
    rows = [json.loads(line) for line in str(shown).splitlines()]
    return [(*row[:2], date.fromisoformat(row[2]), *row[3:]) for row in rows]


@pytest.mark.parametrize("read", [_duckdb, _pyarrow, _polars, _pandas, _chdb])
def test_engines(read: Callable[[str], list[Row]], root: str) -> None:
    """Dates from year 1 to 9999, boxes, maps, lists, `class` and the run arrive, in an output with empty files."""
    assert read(root) == _EXPECTED


def test_all_documents_as_one(root: str) -> None:
    """By the schema of all types, `documents/` is one data set: no type's columns are lost."""
    import pyarrow.dataset as ds

    rows = ds.dataset(f"{root}/documents", schema=schema_of_all(), partitioning="hive").to_table()
    found = sorted((row["type"], row["id"], row["class"]) for row in rows.to_pylist())
    assert found == [
        ("driving_license", "N-1", "B2"),
        ("driving_license", "N-2", "B2"),
        ("passport", "P-1", None),
        ("passport", "P-2", None),
    ]


def test_the_schema_of_all() -> None:
    """Each column of each type is in it, with the Arrow type that it has there."""
    whole = schema_of_all()
    assert len(set(whole.names)) == len(whole.names)
    for name in DOCUMENTS:
        assert all(whole.field(field.name).type == field.type for field in schema_of(name))
