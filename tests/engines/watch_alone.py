"""A watch on a Flink cluster that no launching process waits for; a task manager is killed after a checkpoint.

python -m tests.engines.watch_alone
python -m tests.engines.watch_alone --no_wait
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cardbeam.run_state.receipt import Receipt, read_receipt
from cardbeam.storage.folder import LocalFolder
from pipeline.runs.registry import run_ids
from tests.engines.dropping import Seen, beside_again
from tests.engines.flink import FlinkCluster
from tests.engines.processes import kill_tree
from tests.pipeline import cli
from tests.pipeline.killing import answer, draw_images
from tests.servers import CardServer

IMAGES = 30
_WITHIN_S = 150.0
_OPTIONS = ("--max_requests_per_second=20", "--poll_interval_s=2", "--publish_interval_s=2")
_SHOWN = 3000
_CHECKPOINTS = "--checkpointing_interval=2000"


@dataclass(frozen=True, slots=True)
class WatchedAlone:
    """What a watch without its launching process came to."""

    receipt: Receipt
    calls: int
    is_restored: bool
    status: tuple[int, str]
    """Of `status` beside it: its exit status, and what it prints."""
    refused: int
    """Exit status of a backfill beside it."""


def watch_alone(folder: Path, *, no_wait: bool = False) -> WatchedAlone:
    """Put images into a folder that is watched, most of them after the launching process was killed, or left.

    Raises:
        NotInstalled: Flink cannot be had.
        TimeoutError: something did not come within minutes.
    """
    source, inputs, output = folder / "drawn", folder / "in", LocalFolder(str(folder / "out"))
    draw_images(source, IMAGES)
    inputs.mkdir(parents=True)
    images, seen = sorted(source.iterdir()), Seen(output)

    def drop(start: int, end: int) -> None:
        for image in images[start:end]:
            shutil.copy(image, inputs)
        _wait(lambda: len(seen.at_s) == end)

    with (
        CardServer(lambda got: answer(got, 0.3), keeps_content=False) as server,
        beside_again(seen.poll),
        FlinkCluster(folder / "engine", cli.ENVIRONMENT, stands_ready=True) as flink,
        _telling_why(flink, output),
    ):
        given = [f"--input={inputs}", f"--output={output.root}", f"--endpoint_url={server.base_url}"]
        launch = [*given, *_OPTIONS, _CHECKPOINTS, *flink.options(), *(["--no_wait"] if no_wait else [])]
        child = cli.start("watch", *launch)
        if no_wait:
            out, err = child.communicate(timeout=_WITHIN_S)
            assert (child.returncode, "goes on; see status" in out) == (0, True), err
        drop(0, 3)
        kill_tree(child)
        drop(3, 10)
        asked, refused = cli.run("status", f"--output={output.root}"), cli.run("backfill", *given)
        (job,) = flink.jobs()
        checkpoints = f"/jobs/{job['jid']}/checkpoints"
        _wait(lambda: flink.rest(checkpoints)["counts"]["completed"] > 0)
        flink.kill_task_manager(0)
        flink.start_task_manager()
        drop(10, IMAGES)
        is_restored = flink.rest(checkpoints)["latest"]["restored"] is not None
        (run_id,) = run_ids(output)
        cli.run("runs", f"--output={output.root}", f"--stop={run_id}")
        _wait(lambda: (receipt := read_receipt(output, run_id)) is not None and receipt.has_ended)
        calls = sum(server.calls.values())
    receipt = read_receipt(output, run_id)
    assert receipt is not None
    return WatchedAlone(receipt, calls, is_restored, (asked.returncode, asked.stdout), refused.returncode)


@contextmanager
def _telling_why(flink: FlinkCluster, output: LocalFolder) -> Iterator[None]:
    """What did not come in time, with what the cluster and the run's folder say of it."""
    try:
        yield
    except TimeoutError as error:
        jobs = [(job["state"], flink.rest(f"/jobs/{job['jid']}/exceptions")) for job in flink.jobs()]
        failures = [(state, str(failed and failed.get("root-exception"))[:_SHOWN]) for state, failed in jobs]
        files = sorted(file.path for file in output.list("runs"))
        raise TimeoutError(f"{error}; jobs {failures}; files {files[:_SHOWN]}") from None


def _wait(is_there: Callable[[], bool]) -> None:
    until_s = time.monotonic() + _WITHIN_S
    while not is_there():
        if time.monotonic() >= until_s:
            raise TimeoutError(f"not within {_WITHIN_S:.0f} s")
        time.sleep(0.2)


def main(arguments: Sequence[str]) -> int:
    """Print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.engines.watch_alone", description=__doc__)
    parser.add_argument("--no_wait", action="store_true")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        watched = watch_alone(Path(folder), no_wait=asked.no_wait)
    print(f"{watched.receipt.status}, reconciled {watched.receipt.reconciled}, {watched.receipt.requests}")
    print(f"{watched.calls} calls; checkpoint restored {watched.is_restored}; backfill beside it {watched.refused}")
    print(watched.status[1])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
