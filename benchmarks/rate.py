"""`bench rate`: worker processes share an endpoint's quota; some join and some are killed in the middle.

The endpoint answers 429 when a request is more than the Nth within any second. Figures are the
endpoint's own: what it took over what was allowed, the busiest second, what it refused; where it
may (root), it runs before all else on the machine, as a clock that comes late measures itself. `whole` is
all the time from 10 s after the start (when all who started have joined) to the end; `well` leaves
out the 15 s after a kill and the 10 s after a join.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.machine import Endpoint, endpoint, most_in_a_second

_STARTED_S = 10.0
_JOINED_S = 10.0
_BACK_S = 15.0


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """One figure for each rate and number of workers."""
    parser = argparse.ArgumentParser(prog="run.sh bench rate", description=__doc__)
    parser.add_argument("--rates", type=int, nargs="*", default=[20, 200])
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--latency_s", type=float, default=0.3)
    parser.add_argument("--in_flight", type=int, default=0, help="as --max_in_flight; 0 adapts")
    parser.add_argument("--steady", action="store_true", help="nobody joins, nobody is killed")
    asked = parser.parse_args(arguments)
    return {
        f"{rate}/s, {workers} workers": _measure(rate, workers, asked)
        for rate in asked.rates
        for workers in asked.workers
    }


def _measure(rate: int, workers: int, asked: argparse.Namespace) -> dict[str, Any]:
    is_alone = workers == 1
    with (
        tempfile.TemporaryDirectory() as folder,
        endpoint(asked.latency_s, rate, real_time=True) as server,
        _crowd(folder, server, rate, asked, is_alone=is_alone) as crowd,
    ):
        crowd.join(workers)
        started_s = time.monotonic()
        happened: list[tuple[str, float]] = []
        for deed, share in [] if is_alone or asked.steady else [("kill", 0.25), ("join", 0.6)]:
            time.sleep(max(0.0, started_s + share * asked.seconds - time.monotonic()))
            getattr(crowd, deed)()
            happened.append((deed, time.monotonic()))
        time.sleep(max(0.0, started_s + asked.seconds - time.monotonic()))
        ended_s, served = time.monotonic(), server.served()
    return {
        **_figures(rate, served.came_s, started_s + _STARTED_S, ended_s, happened),
        "refused_429": served.refused,
        "busiest_second": round(most_in_a_second(served.came_s) / rate, 3),
        "shortest_window_s": round(_shortest_window_s(served.came_s, rate), 4),
    }


def _figures(
    rate: int, came_s: list[float], start_s: float, end_s: float, happened: list[tuple[str, float]]
) -> dict[str, Any]:
    def used(first_s: float, last_s: float) -> tuple[int, float]:
        return sum(first_s <= time_s < last_s for time_s in came_s), last_s - first_s

    edges, back_s = [start_s], None
    for deed, at_s in happened:
        edges += [at_s, at_s + (_BACK_S if deed == "kill" else _JOINED_S)]
        if deed == "kill":
            back_s = _back_in_use_s(rate, came_s, at_s)
    edges.append(end_s)
    spans = zip(edges[::2], edges[1::2], strict=True)
    well = [used(first_s, last_s) for first_s, last_s in spans if last_s - first_s > 2] or [(0, 1.0)]
    taken, seconds = used(start_s, end_s)
    return {
        "whole": round(taken / seconds / rate, 4),
        "well": round(sum(count for count, _ in well) / sum(length for _, length in well) / rate, 4),
        "first_request_s": round(min(came_s, default=start_s) - start_s + _STARTED_S, 2),
        "back_in_use_s": back_s,
    }


def _shortest_window_s(came_s: list[float], rate: int) -> float:
    """The least time between a request and the one that is `rate` requests later: below 1 it is refused."""
    return min((later_s - first_s for first_s, later_s in zip(came_s, came_s[rate:], strict=False)), default=0.0)


def _back_in_use_s(rate: int, came_s: list[float], killed_s: float) -> float | None:
    """Seconds from a kill to the first two seconds at 95 % of the rate after the rate fell."""
    fell = False
    for tenth in range(10, 400):
        at_s = killed_s + tenth / 10
        is_full = sum(at_s <= time_s < at_s + 2 for time_s in came_s) >= 0.95 * 2 * rate
        fell = fell or not is_full
        if fell and is_full:
            return tenth / 10
    return None


class _Crowd:
    """The workers of one run."""

    def __init__(self, *command: str) -> None:
        self._command = [sys.executable, "-m", "benchmarks.rate_worker", *command]
        self._children: list[subprocess.Popen[bytes]] = []

    def join(self, count: int = 1) -> None:
        """So many more; returns when they are about to begin."""
        new = [
            subprocess.Popen(self._command, cwd=Path(__file__).resolve().parent.parent, stdout=subprocess.PIPE)
            for _ in range(count)
        ]
        self._children += new
        for child in new:
            if child.stdout is None or not child.stdout.readline():
                raise RuntimeError("a worker did not start")

    def kill(self) -> None:
        """One less, without a word (SIGKILL)."""
        self._children.pop(0).kill()

    def kill_all(self) -> None:
        """All of them."""
        for child in self._children:
            child.kill()
            child.wait()


@contextmanager
def _crowd(folder: str, server: Endpoint, rate: int, asked: argparse.Namespace, *, is_alone: bool) -> Iterator[_Crowd]:
    crowd = _Crowd(
        f"--url={server.base_url}",
        f"--output={folder}/out",
        f"--rate={rate}",
        f"--in_flight={asked.in_flight}",
        *(["--alone"] if is_alone else []),
    )
    try:
        yield crowd
    finally:
        crowd.kill_all()
