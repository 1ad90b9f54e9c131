"""`runs` lists every run that an output knows of, and what is known of it; it changes nothing."""

from __future__ import annotations

import fcntl
import socket
from pathlib import Path

import orjson
import pytest

from cardbeam.run_state.layout import JOURNAL, of_run, run_file
from cardbeam.run_state.liveness.run_lock import LOCK_FILE
from cardbeam.storage.folder import LocalFolder
from pipeline.__main__ import main
from pipeline.commands.runs import run_rows
from pipeline.runs.recovery import close_unfinished_runs
from pipeline.runs.registry import Run, begin
from tests.pipeline.nights import FIRST, ledger_record, write_run
from tests.records import answered, write_segment


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    """A complete run, one that was closed, one that was killed, and one with a damaged run.json."""
    folder = LocalFolder(str(tmp_path / "out"))
    write_run(folder, FIRST, [ledger_record(FIRST, 0, ("0.jpg",), response=b"")], deferred=0)
    begin(folder, Run("closed", "backfill", "2026-11-23T01:00:00+00:00"))
    write_segment(folder, f"{of_run(JOURNAL, 'closed')}/a-000000.journal", [answered(1)])
    close_unfinished_runs(folder)
    begin(folder, Run("killed", "watch", "2026-11-24T01:00:00+00:00"))
    begin(folder, Run("odd", "replay", "2026-11-25T01:00:00+00:00"))
    folder.write(run_file("odd", "run.json"), b"{")
    return folder


def test_each_run_has_a_row(folder: LocalFolder, capsys: pytest.CaptureFixture[str]) -> None:
    """With its command, status, times and counts as far as they are known, the oldest first; and what to do."""
    before = {file.path for file in folder.list("")}
    assert main(["runs", f"--output={folder.root}"]) == 0
    head, *rows, advice = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "run"
    assert [" ".join(row.split()) for row in rows] == [
        "odd damaged",
        f"{FIRST} complete 2026-11-21 01:00:00 2026-11-21 01:05:00 1 0 0 0 1 0",
        "closed backfill interrupted 2026-11-23 01:00:00 2026-11-23 01:00:00 1 0 0 1 0 0",
        "killed watch unfinished 2026-11-24 01:00:00",
    ]
    assert advice == "unfinished: its process is gone; the next launch over this --output publishes what it left"
    assert {file.path for file in folder.list("")} == before


def test_a_run_whose_process_lives_is_running(folder: LocalFolder) -> None:
    """The lock of its process tells."""
    folder.write(LOCK_FILE, orjson.dumps({"run_id": "killed", "host": socket.gethostname()}))
    with Path(folder.root, LOCK_FILE).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        alive = {row[0]: row[2] for row in run_rows(folder)}
    failed_record = {row[0]: row[2] for row in run_rows(folder)}
    assert (alive["killed"], failed_record["killed"], alive["closed"]) == ("running", "unfinished", "interrupted")


def test_an_output_without_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing to list, which is told with what to do."""
    assert main(["runs", f"--output={tmp_path}"]) == 2
    assert f"there is no run in --output {tmp_path} yet: begin one with backfill or watch" in capsys.readouterr().err
