"""A watch on Flink whose launching process is killed for good goes on to its tables, and ends when it is told to."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cardbeam.run_state.receipt import Receipt, read_receipt
from cardbeam.storage.folder import LocalFolder
from pipeline.runs.registry import run_ids
from tests.engines.dropping import Seen, beside_again
from tests.engines.flink import FlinkCluster
from tests.engines.install import NotInstalled
from tests.engines.processes import kill_tree
from tests.pipeline import cli
from tests.pipeline.killing import answer, draw_images
from tests.servers import CardServer

WITHIN_S = 300.0
OPTIONS = ("--max_requests_per_second=20", "--poll_interval_s=2", "--publish_interval_s=2")
CHECKPOINTS = "--checkpointing_interval=2000"


def wait(is_there: Callable[[], bool]) -> None:
    until_s = time.monotonic() + WITHIN_S
    while not is_there():
        assert time.monotonic() < until_s
        time.sleep(0.2)


@pytest.mark.slow
def test_it_needs_no_launching_process(tmp_path: Path) -> None:
    """Killed after the first rows. A task manager is killed after a completed checkpoint, which is then restored."""
    source, inputs, output = tmp_path / "drawn", tmp_path / "in", tmp_path / "out"
    draw_images(source, 30)
    inputs.mkdir()
    images = sorted(source.iterdir())
    folder = LocalFolder(str(output))
    seen = Seen(folder)

    def drop(start: int, end: int) -> None:
        for image in images[start:end]:
            shutil.copy(image, inputs)
        wait(lambda: len(seen.at_s) == end)

    try:
        with (
            CardServer(lambda got: answer(got, 0.3), keeps_content=False) as server,
            beside_again(seen.poll),
            FlinkCluster(tmp_path / "engine", cli.ENVIRONMENT, stands_ready=True) as flink,
        ):
            given = [f"--input={inputs}", f"--output={output}", f"--endpoint_url={server.base_url}"]
            child = cli.start("watch", *given, *OPTIONS, CHECKPOINTS, *flink.options())
            drop(0, 3)
            kill_tree(child)
            drop(3, 10)
            asked, refused = cli.run("status", f"--output={output}"), cli.run("backfill", *given)
            (job,) = flink.jobs()
            checkpoints = f"/jobs/{job['jid']}/checkpoints"
            wait(lambda: flink.rest(checkpoints)["counts"]["completed"] > 0)
            flink.kill_task_manager(0)
            flink.start_task_manager()
            drop(10, 30)
            restored = flink.rest(checkpoints)["latest"]["restored"]
            (run_id,) = run_ids(folder)
            stopped = cli.run("runs", f"--output={output}", f"--stop={run_id}")
            wait(lambda: (receipt := read_receipt(folder, run_id)) is not None and receipt.has_ended)
            calls = sum(server.calls.values())
    except NotInstalled as why:
        pytest.skip(str(why))
    receipt: Receipt | None = read_receipt(folder, run_id)
    assert receipt is not None
    assert (asked.returncode, "watching" in asked.stdout, refused.returncode) == (0, True, 2), (asked, refused)
    assert (stopped.returncode, restored is not None, calls) == (0, True, len(images))
    assert (receipt.status, receipt.reconciled, receipt.requests["succeeded"]) == ("complete", True, len(images))
