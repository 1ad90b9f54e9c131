"""`plan`, `status`, `runs` and `report` print one JSON object on request, with numbers as numbers."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from cardbeam.run_state.layout import run_file
from cardbeam.storage.folder import LocalFolder
from cardbeam.storage.state_file import write_state
from cardbeam.watch.watch_status import STATUS_FILE, WatchStatus
from pipeline.commands import plan, report, runs, status
from pipeline.runs.display.watch_lines import log_watch
from pipeline.runs.registry import Run
from tests.pipeline.nights import FIRST, HALF, SECOND, write_nights


@pytest.fixture
def output(tmp_path: Path) -> str:
    """Two whole runs, and one that did not end."""
    write_nights(tmp_path)
    return f"--output={tmp_path}"


def read(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """The one line that was printed."""
    (line,) = capsys.readouterr().out.splitlines()
    found: dict[str, object] = json.loads(line)
    return found


def test_plan(tmp_path: Path, jpeg: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg)
    shown = [f"--input={tmp_path}/*.jpg", f"--output={tmp_path}/out", "--price_per_call=0.5", "--max_cost=1.6"]
    assert plan.main([*shown, "--format=json"]) == 0
    assert read(capsys) == {
        **{"found": 5, "answered_before": 0, "duplicates": 0, "to_call": 5, "possible_duplicates": 4},
        **{"calls": 3, "deferred": 2, "deferred_by": "--max_cost", "max_price": 1.5, "seconds": 0.3},
    }


def test_runs(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs.main([output, "--format=json"]) == 0
    found = read(capsys)["runs"]
    assert isinstance(found, list)
    assert [(one["run_id"], one["status"]) for one in found] == [
        (FIRST, "complete"), (SECOND, "complete"), (HALF, "unfinished")
    ]  # fmt: skip
    assert (found[0]["requests"]["found"], found[0]["cost"]) == (134, 2.44)


def test_status(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a run that has ended, and of one whose process is gone: exit 4."""
    folder = LocalFolder(output.partition("=")[2])
    ended = status.status_facts(folder, Run(FIRST, "backfill", ""), 0.0)
    assert (ended["status"], ended["cost"], "files" in ended) == ("complete", 2.44, False)
    assert status.main([output, f"--run_id={HALF}", "--format=json"]) == 4
    failed = read(capsys)
    assert (failed["status"], failed["completed"]) == (
        "dead", {"succeeded": 1, "failed": 0, "duplicate": 0, "retry": 0, "deferred": 0, "erased": 0, "forgotten": 0}
    )  # fmt: skip


def test_status_of_a_watch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Backlog, lag and last success; the log line has them too."""
    folder, run = LocalFolder(str(tmp_path)), Run("w", "watch", "2026-11-24T01:00:00+00:00")
    write_state(folder, run_file("w", STATUS_FILE), WatchStatus(3, 2, oldest_at_s=90.0, succeeded_at_s=95.0))
    found = status.status_facts(folder, run, 100.0)["watch"]
    assert (found["waiting"], found["in_flight"], found["lag_s"], found["succeeded_at_s"]) == (3, 2, 10.0, 95.0)
    caplog.set_level(logging.INFO, "cardbeam")
    log_watch(folder, "w", 100.0)
    assert caplog.messages == ["run w  3 waiting, 2 in flight, oldest for 10.0 s, last success 0:00:05 ago"]
    assert caplog.records[0].facts["lag_s"] == 10.0  # type: ignore[attr-defined]


def test_report(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What the page shows, and where it is."""
    assert report.main([output, f"--run_id={SECOND}", "--format=json"]) == 0
    found = read(capsys)
    assert str(found["page"]).endswith(f"/runs/{SECOND}/report.html")
    assert found["documents"] == {"columns": ["type", "documents"], "rows": [["passport", 29]], "texts": 1}
