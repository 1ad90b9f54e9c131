"""Spark reads the tables, those of two versions together, and no more files and rows than a question needs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cardbeam.storage.folder import LocalFolder
from pipeline.catalog.table_ddl import TABLES, statements
from tests.pipeline.nights import FIRST, SECOND, ledger_record, person, response, write_nights, write_run
from tests.pipeline.test_schema_evolution import root as two_versions  # noqa: F401  # a fixture

pytestmark = [pytest.mark.slow, pytest.mark.nightly]
_RUNS, _ROWS = 6, 50


def _scanned(spark: Any, query: str) -> tuple[int, int]:
    """How many files, and rows of these, the scans of a query read."""
    frame = spark.sql(query)
    plan = frame._jdf.queryExecution().executedPlan()
    frame._jdf.collectToPython()
    leaves = plan.collectLeaves()
    metrics = [leaves.apply(number).metrics() for number in range(leaves.size())]
    files, rows = (
        sum(one.apply(name).value() for one in metrics if one.contains(name)) for name in ("numFiles", "numOutputRows")
    )
    return files, rows


def test_tables(tmp_path: Path, spark: Any) -> None:
    """Spark takes the statements of `ddl` and reads every row of ended runs, types and nested values included."""
    root = write_nights(tmp_path / "nights").root
    for statement in statements("spark", "cardbeam", root, [FIRST, SECOND]):
        spark.sql(statement)
    rows = spark.sql("SELECT run_id, count(*) FROM cardbeam.passport GROUP BY run_id ORDER BY run_id").collect()
    assert [tuple(row) for row in rows] == [(FIRST, 30), (SECOND, 29)]
    (first,) = spark.sql(
        "SELECT typeof(dob), dob_box.right, labels['customer_id'], uris[0], cast(called_at AS STRING) "
        "FROM cardbeam.passport ORDER BY called_at LIMIT 1"
    ).collect()
    assert tuple(first) == ("date", 110, "C-060", "s3://photos/2026/11/060.jpg", "2026-11-21 01:00:03")
    described = {row.col_name: row.comment for row in spark.sql("DESCRIBE cardbeam.`9_id_card_front`").collect()}
    assert described["dob"] == "Date of birth"
    connection = duckdb.connect()
    connection.execute("; ".join(statements("duckdb", "cardbeam", root, [])))
    counts = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM cardbeam.`{name}`" for name in TABLES)
    expected = connection.sql(counts.replace("`", '"')).fetchall()
    assert sorted(map(tuple, spark.sql(counts).collect())) == sorted(expected)


def test_two_versions(two_versions: str, spark: Any) -> None:  # noqa: F811  # the fixture
    """Spark reads the runs of two versions, by a merged schema and through the tables that `ddl` makes."""
    merged = spark.read.option("mergeSchema", "true").parquet(f"{two_versions}/documents/type=passport")
    columns = ["id", "place_of_birth", "birthplace"]
    assert [tuple(row) for row in merged.select(columns).orderBy("id").collect()] == [
        ("A0000001", None, "Huyện Thử"),
        ("B0000002", "Tỉnh Mẫu", None),
    ]
    for statement in statements("spark", "evolving", two_versions, [FIRST, SECOND]):
        spark.sql(statement)
    rows = spark.table("evolving.passport").select("id", "place_of_birth").orderBy("id").collect()
    assert [tuple(row) for row in rows] == [("A0000001", None), ("B0000002", "Tỉnh Mẫu")]


def test_pruning(tmp_path: Path, spark: Any) -> None:
    """A type and a run by their folders, a day and a URI by the bounds of row groups."""
    rng, run_ids = random.Random(20), [f"202611{day:02}T010000Z" for day in range(1, _RUNS + 1)]
    for run_id in run_ids:
        records = [
            ledger_record(run_id, n, (f"s3://photos/{run_id}/{n:03}.jpg",),
                          response=response(rng, ("passport", person(rng))))
            for n in range(_ROWS)
        ]  # fmt: skip
        write_run(LocalFolder(str(tmp_path)), run_id, records)
    for statement in statements("spark", "pruned", str(tmp_path), run_ids):
        spark.sql(statement)
    spark.conf.set("spark.sql.adaptive.enabled", "false")  # its plan has the scans in stages of their own
    asked = "SELECT count(full_name) FROM pruned.passport WHERE "
    assert _scanned(spark, f"{asked} full_name <> ''") == (_RUNS, _RUNS * _ROWS)
    assert _scanned(spark, f"{asked} run_id = '{run_ids[2]}'") == (1, _ROWS)
    day = "called_at BETWEEN TIMESTAMP '2026-11-03' AND TIMESTAMP '2026-11-04'"
    assert _scanned(spark, f"{asked} {day}")[1] == _ROWS
    assert _scanned(spark, "SELECT count(name) FROM pruned.driving_license")[1] == 0
    spark.conf.unset("spark.sql.adaptive.enabled")
