"""Kill and replace two workers that share a cost cap; print what they were billed, as the endpoint counts it.

python -m tests.cardbeam.ratelimit.spending --kills=40
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cardbeam.config.prices import affordable_calls
from cardbeam.ratelimit.budgets import call_budget as budget
from tests.cardbeam.ratelimit.spender import PRICE, THREADS, work
from tests.servers import Answer, CardServer, failure
from tests.wire import Received

_WORKERS = 2
_WITHIN_S = 300.0
_START = multiprocessing.get_context("forkserver")
_START.set_forkserver_preload([work.__module__, CardServer.__module__])


@dataclass(frozen=True, slots=True)
class Spent:
    """What came of it, in calls."""

    most: int
    billed: int
    kills: int

    @property
    def held(self) -> int:
        """What the killed workers can have held: a chunk each, and what was taken of one and not yet sent."""
        return self.kills * (max(budget.chunks(self.most)) + THREADS)

    @property
    def is_kept(self) -> bool:
        """Never above the cap, and below it by what killed workers held at most."""
        return self.most - self.held <= self.billed <= self.most


class _Endpoint:
    """Fails one call of three, which it does not bill."""

    def __init__(self) -> None:
        self.billed = 0
        self._rng, self._lock = random.Random(4), threading.Lock()

    def __call__(self, got: Received) -> Answer:
        del got
        with self._lock:
            if self._rng.random() < 1 / 3:
                return Answer(status=503, latency_s=0.002)
            self.billed += 1
        return Answer(failure("1").body, headers={"Content-Type": "application/json"}, latency_s=0.002)


def spend(folder: Path, cap: float, kills: int) -> Spent:
    """Two workers, of which one after the other is killed and begun again as the cap is used up."""
    endpoint, most = _Endpoint(), affordable_calls(cap, PRICE)
    with CardServer(endpoint, keeps_content=False) as server:

        def start() -> multiprocessing.process.BaseProcess:
            process = _START.Process(target=work, args=(server.base_url, str(folder), cap), daemon=True)
            process.start()
            return process

        workers, hit = [start() for _ in range(_WORKERS)], 0
        for kill in range(kills):
            until_s = time.monotonic() + _WITHIN_S
            while endpoint.billed < (kill + 1) * most // (kills + 2) and any(one.is_alive() for one in workers):
                if time.monotonic() > until_s:
                    raise TimeoutError(f"the workers went no further than {endpoint.billed} calls")
                time.sleep(0.002)
            number = kill % _WORKERS
            hit += workers[number].is_alive()
            workers[number].kill()
            workers[number].join()
            workers[number] = start()
        for one in workers:
            one.join(_WITHIN_S)
            if one.exitcode != 0:
                raise RuntimeError(f"a worker ended with {one.exitcode}")
    return Spent(most, endpoint.billed, hit)


def main(arguments: Sequence[str]) -> int:
    """Many kills; 0 where the cap was kept."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--cap", type=float, default=64.0, help=f"at {PRICE} a call")
    asked = parser.parse_args(list(arguments))
    with tempfile.TemporaryDirectory() as scratch:
        spent = spend(Path(scratch), asked.cap, asked.kills)
    print(f"{spent.kills} kills: {spent.billed} calls billed of {spent.most}; killed workers held {spent.held} at most")
    print("kept" if spent.is_kept else "NOT kept")
    return 0 if spent.is_kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
