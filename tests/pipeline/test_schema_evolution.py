"""A run by an older schema and one by a newer are read together; `publish` brings the older up to date."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from subprocess import run
from typing import Any

import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

from cardbeam.storage.folder import LocalFolder
from pipeline.catalog.table_ddl import statements
from pipeline.catalog.views import connect
from schemas.document_tables import schema_of
from tests.pipeline.cli import ENVIRONMENT, ROOT
from tests.pipeline.nights import FIRST, SECOND, ledger_record, write_run

_OLDER = textwrap.dedent("""
    import sys
    from dataclasses import replace
    from schemas.documents import DOCUMENTS
    from schemas.fields import FIELDS

    passport = [field for field in DOCUMENTS["passport"] if not field.name.startswith("place_of_birth")]
    DOCUMENTS["passport"] = (*passport, replace(FIELDS["hometown"], name="birthplace"))

    from tests.pipeline.test_schema_evolution import write_night
    write_night(sys.argv[1], "%s", "A0000001")
""")
"""The schema of a version before this one: without `place_of_birth`, and with a `birthplace` that was dropped since.
It runs in a process of its own, so that each run is written by one whole version."""


def write_night(root: str, run_id: str, number: str) -> None:
    """A run with one passport, written by the schema of this process."""
    info = {"id": number, "dob": "01-02-1990", "place_of_birth": "Tỉnh Mẫu", "birthplace": "Huyện Thử"}
    answer = json.dumps({"errorCode": "0", "data": [{"type": "passport", "info": info}]}).encode()
    write_run(LocalFolder(root), run_id, [ledger_record(run_id, 0, (f"{number}.jpg",), response=answer)])


@pytest.fixture
def root(tmp_path: Path) -> str:
    """One run by each version."""
    older = [sys.executable, "-c", _OLDER % FIRST, str(tmp_path)]
    run(older, cwd=ROOT, env=ENVIRONMENT, check=True, capture_output=True)
    write_night(str(tmp_path), SECOND, "B0000002")
    return str(tmp_path)


def test_duckdb(root: str) -> None:
    """The views have the installed version's columns, null in the older run, and what only that one has."""
    found = connect(root).sql("SELECT id, dob::TEXT, place_of_birth, birthplace FROM passport ORDER BY id")
    assert found.fetchall() == [
        ("A0000001", "1990-02-01", None, "Huyện Thử"),
        ("B0000002", "1990-02-01", "Tỉnh Mẫu", None),
    ]
    newest = connect(root).sql("SELECT id, place_of_birth, birthplace FROM latest_passport ORDER BY id")
    assert newest.fetchall() == [("A0000001", None, "Huyện Thử"), ("B0000002", "Tỉnh Mẫu", None)]


def test_duckdb_ddl(root: str) -> None:
    """So have the tables that `ddl` makes, with the installed version's columns alone."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("; ".join(statements("duckdb", "cards", root, [])))
    found = connection.sql("SELECT id, place_of_birth FROM cards.passport ORDER BY id").fetchall()
    assert found == [("A0000001", None), ("B0000002", "Tỉnh Mẫu")]


def test_pyarrow(root: str) -> None:
    """A pyarrow data set with the installed schema reads both."""
    files = sorted(map(str, Path(root, "documents/type=passport").rglob("*.parquet")))
    rows = ds.dataset(files, schema=schema_of("passport")).to_table(columns=["id", "place_of_birth"])
    expected: list[dict[str, Any]] = [
        {"id": "A0000001", "place_of_birth": None},
        {"id": "B0000002", "place_of_birth": "Tỉnh Mẫu"},
    ]
    assert rows.take(pc.sort_indices(rows["id"])).to_pylist() == expected


@pytest.mark.slow
def test_publish(root: str) -> None:
    """`publish` reads the held responses again: the new column is filled, the dropped one stands in `extra`."""
    from pipeline.__main__ import main

    assert main(["publish", f"--output={root}"]) == 0
    found = connect(root).sql("SELECT id, place_of_birth, extra['birthplace'] FROM passport ORDER BY id").fetchall()
    assert found == [("A0000001", "Tỉnh Mẫu", '"Huyện Thử"'), ("B0000002", "Tỉnh Mẫu", '"Huyện Thử"')]
    assert "birthplace" not in connect(root).sql("FROM passport").columns
