"""A worker process that is killed ends a run on Beam's local runner, which would wait for it for ever."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from cardbeam.run_state.receipt import read_receipt
from cardbeam.storage.folder import LocalFolder
from tests.engines.processes import children, command_of, wait_for_end
from tests.hook import Hook
from tests.pipeline import cli
from tests.pipeline.killing import answer, draw_images
from tests.servers import CardServer

IMAGES, IN_FLIGHT = 60, 2
OPTIONS = (
    *("--runner=FnApiRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2"),
    *("--max_requests_per_second=20", f"--max_in_flight={IN_FLIGHT}"),
)


@pytest.mark.slow
def test_a_killed_worker_ends_the_run(tmp_path: Path) -> None:
    """With exit 4 and a notice, and no worker goes on. The same command processes the rest; twice at most what was in
    flight."""
    draw_images(tmp_path / "in", IMAGES)
    with CardServer(lambda got: answer(got, 0.3), keeps_content=False) as server, Hook() as hook:
        given = [f"--input={tmp_path}/in/*.png", f"--output={tmp_path}/out", f"--endpoint_url={server.base_url}"]
        child = cli.start("backfill", *given, *OPTIONS, f"--notify_url={hook.url}")
        until_s = time.monotonic() + 120
        while sum(server.calls.values()) < 5:
            assert time.monotonic() < until_s and child.poll() is None
            time.sleep(0.02)
        started = children(child.pid)
        _worker(started).kill()
        _, err = child.communicate(timeout=180)
        left = [one for one in started if not wait_for_end(one.pid)]
        again = cli.run("backfill", *given, *OPTIONS)
        calls = sum(server.calls.values())
    assert (child.returncode, "Worker subprocess exited" in err, "Rerun the same command" in err) == (4, True, True), (
        err
    )
    assert left == []
    assert [notice["event"] for notice in hook.received] == ["started", "stopped"]
    assert again.returncode == 0, again.stderr
    assert IMAGES <= calls <= IMAGES + 2 * IN_FLIGHT
    folder = LocalFolder(str(tmp_path / "out"))
    found = [read_receipt(folder, run.name) for run in sorted((tmp_path / "out" / "runs").iterdir()) if run.is_dir()]
    assert [one and one.reconciled for one in found] == [True, True]
    assert sum(one.requests["succeeded"] for one in found if one) == IMAGES


def _worker(started: list[psutil.Process]) -> psutil.Process:
    """One of the processes that make the calls, not the shell that Beam starts it by."""
    found = [one for one in started if "sdk_worker_main" in command_of(one)]
    return next(one for one in found if one.name() not in ("sh", "bash", "dash"))
