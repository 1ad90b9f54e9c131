"""Stop a run by `runs --stop` in the middle of its calls; print how long after it the last call came.

python -m tests.engines.stopping --runner=prism --command=watch
python -m tests.engines.stopping --runner=flink --command=backfill
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cardbeam.run_state.receipt import Receipt, read_receipt
from cardbeam.storage.folder import LocalFolder
from pipeline.commands import runs
from pipeline.runs.registry import run_ids
from tests.engines.processes import kill_tree
from tests.engines.watching import RUNNERS
from tests.pipeline import cli
from tests.pipeline.killing import answer, draw_images
from tests.servers import CardServer

STOPS_WITHIN_S = 10.0
_IMAGES, _BEFORE, _RATE, _LATENCY_S = 1000, 10, 5, 0.3
_WITHIN_S = 300.0
_PRISM = {"watch": (), "backfill": ("--runner=PrismRunner",)}
_EXIT = {"watch": 0, "backfill": 130}


@dataclass(frozen=True, slots=True)
class StopResult:
    """What came of it."""

    calls: int
    last_call_after_s: float
    """From the command to the last request that was sent."""
    ended_after_s: float
    exit_status: int
    receipt: Receipt

    def violations(self, command: str) -> list[str]:
        """What is not as promised."""
        counted = self.receipt.requests
        kept = {
            f"calls came for {self.last_call_after_s:.1f} s": self.last_call_after_s < STOPS_WITHIN_S,
            f"exit status {self.exit_status}": self.exit_status == _EXIT[command],
            f"stopped by {self.receipt.stopped_by!r}": self.receipt.stopped_by == "stopped",
            f"not reconciled: {counted}": self.receipt.reconciled and counted["succeeded"] == self.calls,
        }
        return [problem for problem, is_kept in kept.items() if not is_kept]


def stop(folder: Path, command: str, options: Sequence[str]) -> StopResult:
    """Begin a run that has minutes of calls before it, and stop it after its first ones."""
    draw_images(folder / "in", _IMAGES)
    output = LocalFolder(f"{folder}/out")
    with CardServer(lambda got: answer(got, _LATENCY_S), keeps_content=False) as server:
        given = [f"--input={folder}/in", f"--output={output.root}", f"--endpoint_url={server.base_url}"]
        with _started(command, [*given, f"--max_requests_per_second={_RATE}", *options]) as child:
            until_s = time.monotonic() + _WITHIN_S
            while len(server.received) < _BEFORE:
                if child.poll() is not None or time.monotonic() > until_s:
                    raise RuntimeError(f"{command} did not come to its calls: {child.communicate()}")
                time.sleep(0.05)
            (run_id,) = run_ids(output)
            stopped_s = time.monotonic()
            runs.main([f"--output={output.root}", f"--stop={run_id}"])
            _, err = child.communicate(timeout=_WITHIN_S)
            ended_s = time.monotonic()
        last_s, calls = max(got.at_s for got in server.received), len(server.received)
    receipt = read_receipt(output, run_id)
    if receipt is None:
        raise RuntimeError(f"{command} ended with {child.returncode} and left no receipt: {err}")
    return StopResult(calls, max(0.0, last_s - stopped_s), ended_s - stopped_s, child.returncode, receipt)


@contextmanager
def _started(command: str, given: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    child = cli.start(command, *given)
    try:
        yield child
    finally:
        if child.poll() is None:
            kill_tree(child)


def main(arguments: Sequence[str]) -> int:
    """One run on one runner; 0 where it stopped in time and in order."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--runner", choices=tuple(RUNNERS), default="prism")
    parser.add_argument("--command", choices=tuple(_EXIT), default="backfill")
    asked = parser.parse_args(list(arguments))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the cluster goes with it
    with tempfile.TemporaryDirectory() as scratch, RUNNERS[asked.runner](Path(scratch, "engine")) as engine:
        options = [*engine, *(_PRISM[asked.command] if asked.runner == "prism" else ())]
        stopped = stop(Path(scratch), asked.command, options)
    print(f"{asked.command} on {asked.runner}: {stopped.calls} calls, the last {stopped.last_call_after_s:.1f} s later")
    print(f"ended {stopped.ended_after_s:.1f} s later, exit {stopped.exit_status}, receipt {stopped.receipt.status}")
    violations = stopped.violations(asked.command)
    print("\n".join(violations) or "stopped in time, every call in the receipt")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
