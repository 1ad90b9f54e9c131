"""Kill workers of a run whose cost is bounded; print what was paid, as the endpoint counts it.

python -m tests.engines.spending --kills=4
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cardbeam.ratelimit.budgets.call_budget import chunks
from cardbeam.run_state.receipt import Receipt, read_receipt
from cardbeam.storage.folder import LocalFolder
from pipeline.runs.registry import run_ids
from tests.engines.flink import FlinkCluster
from tests.pipeline import cli
from tests.pipeline.killing import answer, draw_images
from tests.servers import Answer, CardServer
from tests.wire import Received

PRICE = 0.1
_WORKERS, _IN_FLIGHT, _RATE = 2, 4, 20
_LATENCY_S = 0.2
_REFUSES_EACH = 4
"""Every fourth call gets a 503, which is not billed."""
_WITHIN_S = 900.0


@dataclass(frozen=True, slots=True)
class Spent:
    """What came of it, in calls."""

    cap: int
    billed: int
    kills: int
    status: int
    receipt: Receipt
    text: str

    @property
    def held(self) -> int:
        """What the killed workers can have held: a chunk each, and what was taken of one and not yet sent."""
        return self.kills * (max(chunks(self.cap)) + _IN_FLIGHT)

    def violations(self) -> list[str]:
        """What is not as promised."""
        kept = {
            "above the cap": self.billed <= self.cap,
            "further below it than the killed workers held": self.billed >= self.cap - self.held,
            "not stopped by it": (self.status, self.receipt.stopped_by) == (3, "max_cost"),
            "a receipt of more than was billed": self.receipt.cost <= self.billed * PRICE + 1e-9,
            "a receipt that does not add up": self.receipt.reconciled,
        }
        return [problem for problem, is_kept in kept.items() if not is_kept]


class _Counting:
    """An endpoint that counts what it bills."""

    def __init__(self) -> None:
        self.billed = self._came = 0
        self._lock = threading.Lock()

    def __call__(self, got: Received) -> Answer:
        with self._lock:
            self._came += 1
            if self._came % _REFUSES_EACH == 0:
                return Answer(status=503)
            self.billed += 1
        return answer(got, _LATENCY_S)


def spend(folder: Path, cap: int, kills: int) -> Spent:
    """A backfill of twice as many images as it may pay, of whose workers one is killed and replaced again and again."""
    draw_images(folder / "in", 2 * cap)
    endpoint = _Counting()
    with (
        CardServer(endpoint, keeps_content=False) as server,
        FlinkCluster(folder / "engine", cli.ENVIRONMENT, task_managers=_WORKERS, stands_ready=True) as flink,
    ):
        given = [f"--input={folder}/in", f"--output={folder}/out", f"--endpoint_url={server.base_url}"]
        given += [f"--max_requests_per_second={_RATE}", f"--max_in_flight={_IN_FLIGHT}"]
        given += [f"--price_per_call={PRICE}", f"--max_cost={cap * PRICE:g}", *flink.options()]
        child, hit = cli.start("backfill", *given), 0
        for number in range(1, kills + 1):
            until_s = time.monotonic() + _WITHIN_S
            while endpoint.billed < number * cap // (kills + 1) and child.poll() is None:
                if time.monotonic() > until_s:
                    raise TimeoutError(f"the run went no further than {endpoint.billed} calls")
                time.sleep(0.02)
            if child.poll() is None:
                flink.kill_task_manager(0)
                flink.start_task_manager()
                hit += 1
        out, err = child.communicate(timeout=_WITHIN_S)
    output = LocalFolder(f"{folder}/out")
    (receipt,) = filter(None, (read_receipt(output, run_id) for run_id in run_ids(output)))
    return Spent(cap, endpoint.billed, hit, child.returncode, receipt, out + err)


def main(arguments: Sequence[str]) -> int:
    """Two workers and a cap; 0 where it was kept."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--cap", type=int, default=320, help="calls that may be paid")
    parser.add_argument("--kills", type=int, default=4)
    asked = parser.parse_args(list(arguments))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the cluster goes with it
    with tempfile.TemporaryDirectory() as scratch:
        spent = spend(Path(scratch), asked.cap, asked.kills)
    print(f"{spent.kills} kills: {spent.billed} calls billed of {spent.cap}; killed workers held {spent.held} at most")
    print(f"receipt: {spent.receipt.status}, cost {spent.receipt.cost:g}, {spent.receipt.requests}")
    violations = spent.violations()
    print("\n".join(violations) or "never above the cap, and below it by what killed workers held at most")
    if violations:
        print(spent.text, file=sys.stderr)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
