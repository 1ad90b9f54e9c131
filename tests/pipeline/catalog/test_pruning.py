"""A question about one type, run, day, image or person is answered from the files and row groups that can hold it."""

from __future__ import annotations

import random
import re

import duckdb
import pytest

from cardbeam.storage.folder import LocalFolder
from pipeline.catalog.views import connect
from tests.pipeline.nights import ledger_record, person, response, write_run

_RUNS, _ROWS = 12, 100


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """Twelve runs, one a day, each with a file of passports."""
    folder, rng = LocalFolder(str(tmp_path_factory.mktemp("output"))), random.Random(20)
    for day in range(1, _RUNS + 1):
        run_id = f"202611{day:02}T010000Z"
        records = [
            ledger_record(run_id, number, (f"s3://photos/{day:02}/{number:03}.jpg",),
                          response=response(rng, ("passport", person(rng))))
            for number in range(_ROWS)
        ]  # fmt: skip
        write_run(folder, run_id, records)
    return connect(folder.root, only_tables=["passport", "driving_license"])


@pytest.mark.parametrize(
    ("condition", "scanned"),
    [
        ("full_name <> ''", _RUNS),
        ("run_id = '20261105T010000Z'", 1),
        ("called_at BETWEEN TIMESTAMPTZ '2026-11-05' AND TIMESTAMPTZ '2026-11-06'", 1),
        ("item_id = '{item_id}'", 1),
        ("person_number = '{person_number}'", 1),
        ("uris[1] = 's3://photos/05/007.jpg'", 1),
        ("list_contains(uris, 's3://photos/05/007.jpg')", 1),
    ],
)
def test_row_groups(connection: duckdb.DuckDBPyConnection, condition: str, scanned: int) -> None:
    """DuckDB scans so many of the row groups: a run by its files, days and URIs by bounds, ids by Bloom filters."""
    (values,) = connection.sql(
        "SELECT item_id, person_number FROM passport WHERE list_contains(uris, 's3://photos/05/007.jpg')"
    ).fetchall()
    named = dict(zip(("item_id", "person_number"), values, strict=True))
    question = f"SELECT count(full_name) FROM passport WHERE {condition.format(**named)}"
    ((_, plan),) = connection.sql(f"EXPLAIN ANALYZE {question}").fetchall()
    groups = sum(int(found) for found in re.findall(r"Row Groups Scanned: (\d+)", plan))
    assert (groups, connection.sql(question).fetchall()[0][0] > 0) == (scanned, True)


def test_type(connection: duckdb.DuckDBPyConnection) -> None:
    """A type is a folder: a question about another reads no row group of passports."""
    ((_, plan),) = connection.sql("EXPLAIN ANALYZE SELECT count(name) FROM driving_license").fetchall()
    assert re.findall(r"Row Groups Scanned: (\d+)", plan) in ([], ["0"])
