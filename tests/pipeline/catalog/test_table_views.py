"""Views are made by what receipts tell of the files: these are opened as a query reads them, and no sooner."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cardbeam.run_state.layout import run_file
from cardbeam.run_state.receipt import RECEIPT_FILE
from cardbeam.storage.folder import LocalFolder
from cardbeam.storage.read_parquet import schema_fingerprint
from pipeline.__main__ import main
from pipeline.catalog.views import connect
from tests.pipeline.nights import FIRST, HALF, SECOND, ledger_record, write_run

RUNS = (FIRST, SECOND, HALF)
_File = dict[str, Any]


@pytest.fixture
def root(tmp_path: Path) -> str:
    """Three runs with a passport each."""
    for run_id in RUNS:
        answer = json.dumps({"errorCode": "0", "data": [{"type": "passport", "info": {"id": run_id}}]}).encode()
        write_run(LocalFolder(str(tmp_path)), run_id, [ledger_record(run_id, 0, (f"{run_id}.jpg",), response=answer)])
    return str(tmp_path)


def passports(root: str, run_id: str) -> Path:
    """The file of a run."""
    (path,) = Path(root, "documents/type=passport", f"run_id={run_id}").iterdir()
    return path


def edit_files(root: str, run_id: str, edit: Callable[[_File], _File]) -> None:
    """Change what the receipt of a run says of its files."""
    path = Path(root, run_file(run_id, RECEIPT_FILE))
    receipt = json.loads(path.read_bytes())
    path.write_text(json.dumps({**receipt, "files": [edit(file) for file in receipt["files"]]}))


def without_schema(file: _File) -> _File:
    """As an older version wrote it."""
    return {name: value for name, value in file.items() if name != "schema"}


def spoil(path: Path) -> None:
    """Damage a file's end, and leave its size."""
    content = bytearray(path.read_bytes())
    content[-2000:-8] = b"\xff" * 1992
    path.write_bytes(content)


def add_column(root: str, run_id: str) -> None:
    """Have the passports of a run be written by another version, which had one more column."""
    path = passports(root, run_id)
    rows = pq.read_table(path).append_column("blood_group", pa.array([run_id[:8]]))
    pq.write_table(rows, path)
    named = path.relative_to(root).as_posix()
    facts = {"bytes": path.stat().st_size, "schema": schema_fingerprint(rows.schema)}
    edit_files(root, run_id, lambda file: {**file, **facts} if file["path"] == named else file)


def test_files_of_the_installed_version_are_opened_by_queries_alone(
    root: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is damaged within its length is named by the query that meets it, which goes on without it; so does
    one of a single run, and one whose files are all damaged."""
    whole = passports(root, FIRST).read_bytes()
    spoil(passports(root, FIRST))
    query = ["sql", f"--output={root}", "--format=csv", "SELECT id FROM passport ORDER BY id; SELECT 1 AS one"]
    connect(root)
    assert caplog.messages == []
    assert main(query) == 0
    assert capsys.readouterr().out.splitlines() == ["id", SECOND, HALF, "one", "1"]
    name = passports(root, FIRST).relative_to(root).as_posix()
    assert caplog.messages == [f"{name} is no whole file of its table. Restore the file, or see docs/operations.md"]
    assert connect(root, only_run=FIRST).sql("SELECT id FROM passport").fetchall() == []
    for run_id in RUNS[1:]:
        spoil(passports(root, run_id))
    assert main(query) == 0
    assert capsys.readouterr().out.splitlines() == ["id", "one", "1"]
    passports(root, FIRST).write_bytes(whole)
    assert connect(root, only_run=FIRST).sql("SELECT id FROM passport").fetchall() == [(FIRST,)]


def test_an_error_of_the_query_opens_no_file(root: str, caplog: pytest.LogCaptureFixture) -> None:
    """What is wrong with the query is told as it is."""
    spoil(passports(root, FIRST))
    assert main(["sql", f"--output={root}", "SELECT nothing FROM dead_letters"]) == 2
    assert not [message for message in caplog.messages if "passport" in message]


def test_columns_of_other_versions_are_read_from_one_file_of_each(root: str, caplog: pytest.LogCaptureFixture) -> None:
    """The others of the same fingerprint are not opened for it."""
    for run_id in RUNS[:2]:
        add_column(root, run_id)
    expected = [(FIRST, FIRST[:8]), (SECOND, SECOND[:8]), (HALF, None)]
    query = "SELECT id, blood_group FROM passport ORDER BY id"
    assert connect(root).sql(query).fetchall() == expected
    spoil(passports(root, FIRST))
    assert connect(root).sql(f"SELECT * FROM ({query}) WHERE id = '{SECOND}'").columns == ["id", "blood_group"]
    assert caplog.messages == []
    assert connect(root).sql("SELECT id, blood_group FROM latest_passport WHERE false").fetchall() == []


def test_receipts_without_schemas(root: str) -> None:
    """The columns are read from the files, whatever other receipts tell."""
    add_column(root, FIRST)
    for run_id in RUNS:
        query = "SELECT id, blood_group FROM passport ORDER BY id"
        assert connect(root).sql(query).fetchall() == [(FIRST, FIRST[:8]), (SECOND, None), (HALF, None)]
        edit_files(root, run_id, without_schema)
    assert connect(root).sql(query).fetchall() == [(FIRST, FIRST[:8]), (SECOND, None), (HALF, None)]
    spoil(passports(root, FIRST))
    assert connect(root).sql("SELECT id FROM passport ORDER BY id").fetchall() == [(SECOND,), (HALF,)]
