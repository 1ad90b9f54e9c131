"""Spark reads no more files and rows than a question needs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from cardbeam.storage.folder import LocalFolder
from pipeline.catalog.table_ddl import statements
from tests.pipeline.nights import ledger_record, person, response, write_run

pytestmark = pytest.mark.slow
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
