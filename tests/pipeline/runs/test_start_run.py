"""A run begins under a name of its own, with the output's lock held and all runs before it closed."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from cardbeam.config.settings import (
    EndpointSettings,
    InputSettings,
    OutputSettings,
    RateSettings,
    ReplaySettings,
    Settings,
)
from cardbeam.run_state.layout import JOURNAL, LEDGER, of_run
from cardbeam.run_state.liveness.run_lock import read_lock
from cardbeam.run_state.receipt import read_receipt
from cardbeam.storage.folder import Folder, LocalFolder
from pipeline.runs import start_run
from pipeline.runs.registry import Run, RunExists, begin, new_run, read_run
from pipeline.runs.start_run import locked_output, started_run
from tests.records import answered, write_segment

NOW = datetime(2026, 11, 22, 1, tzinfo=timezone.utc)


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(str(tmp_path))


def settings_of(folder: Folder, run_id: str = "") -> Settings:
    rate = RateSettings(max_requests_per_second=7, price_per_call=0.5)
    output = OutputSettings(folder.root, run_id)
    return Settings(InputSettings(("in/*.jpg",)), EndpointSettings(), rate, output, ReplaySettings(("error_1",)))


def test_a_run_begins_once_those_before_it_are_closed(folder: LocalFolder) -> None:
    """What it is told is written down, and the lock names it; afterwards the lock is free for the next."""
    begin(folder, Run("r0", "watch", NOW.isoformat()))
    write_segment(folder, f"{of_run(JOURNAL, 'r0')}/a-000000.journal", [answered(1)])
    with started_run(folder, settings_of(folder), "backfill") as run:
        held = read_lock(folder)
        assert held is not None and held["run_id"] == run.run_id
        closed = read_receipt(folder, "r0")
        assert closed is not None and (closed.status, closed.reconciled) == ("interrupted", True)
        assert read_run(folder, run.run_id) == run
        assert read_receipt(folder, run.run_id) is None
    assert (run.command, run.allowed_per_s, run.price_per_call) == ("backfill", 7, 0.5)
    assert (run.settings["input"], run.settings["replay"]["codes"]) == (["in/*.jpg"], ["error_1"])
    with locked_output(folder) as closed:
        assert [receipt.run_id for receipt in closed] == [run.run_id]
        assert read_receipt(folder, run.run_id) == closed[0]


def test_runs_of_one_second_have_names_of_their_own(folder: LocalFolder) -> None:
    """By default a run is named after its start."""
    names = []
    for _ in range(3):
        run = new_run(folder, settings_of(folder), "backfill", NOW)
        begin(folder, run)
        names.append(run.run_id)
    assert names == ["20261122T010000Z", "20261122T010000Z-2", "20261122T010000Z-3"]


@pytest.mark.parametrize(
    "left", ["runs/r1/run.json", f"{LEDGER}/run_id=r1/p.parquet", f"{JOURNAL}/run_id=r1/a.journal"]
)
def test_a_name_that_was_asked_for_is_no_other_runs(folder: LocalFolder, left: str) -> None:
    """Whatever is left of that one; a name that only begins with it is free."""
    folder.write(left, b"")
    with pytest.raises(RunExists, match="run r1 exists already: choose another --run_id or leave it out"):
        new_run(folder, settings_of(folder, "r1"), "backfill", NOW)
    assert new_run(folder, settings_of(folder, "r"), "backfill", NOW).run_id == "r"
    assert new_run(folder, settings_of(folder, "r12"), "backfill", NOW).run_id == "r12"


@pytest.mark.parametrize("asked", ["", "r1"])
def test_a_run_that_began_while_the_lock_was_waited_for(
    folder: LocalFolder, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the name: another is chosen, unless it was asked for."""
    found: list[Run] = []

    def new_run_late(output: Folder, *given: object) -> Run:
        run = new_run(output, *given)  # type: ignore[arg-type]
        found.append(run)
        if len(found) == 1:
            begin(output, run)
        return run

    monkeypatch.setattr(start_run, "new_run", new_run_late)
    if asked:
        with pytest.raises(RunExists):
            started_run(folder, settings_of(folder, asked), "backfill").__enter__()
        return
    with started_run(folder, settings_of(folder, asked), "backfill") as run:
        assert (len(found), run) == (2, found[1])
        assert found[0].run_id != found[1].run_id
