"""Real worker processes share a rate through a real folder; what one that is killed had goes to the others."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cardbeam.ratelimit.background_tasks import BackgroundTasks
from cardbeam.run_state.liveness.run_lock import boottime_s
from tests.cardbeam.ratelimit.lease_simulation import most_in_a_window

RATE_PER_S = 20
ROOT = Path(__file__).resolve().parents[3]
WITHIN_S = 90.0


def _until(is_so: Callable[[], bool]) -> None:
    """Wait for what a loaded machine may take long for."""
    until_s = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < until_s
        time.sleep(0.02)


class Child:
    """A worker process, and when its permissions left it."""

    def __init__(self, folder: Path, number: int) -> None:
        self._path = folder / f"{number}.times"
        command = [
            sys.executable,
            "-m",
            "tests.cardbeam.ratelimit.lease_child",
            str(folder),
            str(RATE_PER_S),
            str(self._path),
        ]
        self.process = subprocess.Popen(command, cwd=ROOT)

    def left_s(self, since_s: float = 0.0) -> list[float]:
        """On the clock of all processes; a line that is being written is none yet."""
        written = self._path.read_text() if self._path.exists() else ""
        times_s = (float(line) for line in written.splitlines(keepends=True) if line.endswith("\n"))
        return [time_s for time_s in times_s if time_s >= since_s]


@pytest.mark.slow
def test_the_others_take_over_from_a_worker_that_is_killed(tmp_path: Path) -> None:
    """Three share the rate until one is killed, then two use all of it; at no time is it exceeded."""
    children = [Child(tmp_path, number) for number in range(3)]
    try:
        _until(lambda: all(len(child.left_s()) > RATE_PER_S for child in children))
        shared_s = boottime_s()
        _until(lambda: all(len(child.left_s(shared_s)) > RATE_PER_S for child in children))
        shares = [len(child.left_s(shared_s)) for child in children]
        children[0].process.kill()
        killed_s = boottime_s()
        _until(lambda: _busiest([one for child in children[1:] for one in child.left_s(killed_s)]) >= 0.9 * RATE_PER_S)
    finally:
        for child in children:
            child.process.kill()
            child.process.wait()
    times_s = [time_s for child in children for time_s in child.left_s()]
    assert _busiest(times_s) <= RATE_PER_S
    assert max(shares) <= 2 * min(shares)


def _busiest(times_s: list[float]) -> int:
    """The most in a second."""
    return most_in_a_window(times_s, 1.0)


def test_a_worker_is_present_while_something_is_under_way_and_leaves_once_a_while_after() -> None:
    tasks: list[str] = []
    left = threading.Event()

    def fail() -> None:
        tasks.append("fail")
        raise OSError("the store is away")

    background = BackgroundTasks([fail, lambda: tasks.append("beat")], left.set, 0.05)
    for _ in range(2):
        with background, background:
            _until(lambda: len(tasks) >= 8)
            assert not left.is_set()
        assert left.wait(10)
        assert tasks[:4] == ["fail", "beat"] * 2  # what fails stops neither the others nor the next time
        left.clear()
        tasks.clear()


def test_a_worker_leaves_as_soon_as_it_may() -> None:
    """The wait for it is cut short where the next beat is far; not before it may."""
    done, left = threading.Event(), threading.Event()
    left_at_s: list[float] = []

    def idle_timeout_s() -> float:
        done.wait(10)  # else it may look before the request has ended, and again only a beat later
        return 0.2

    def release() -> None:
        left_at_s.append(time.monotonic())
        left.set()

    with BackgroundTasks([], release, 30.0, idle_timeout_s):
        ended_at_s = time.monotonic()
    done.set()
    assert left.wait(10)
    assert left_at_s[0] - ended_at_s >= 0.2


def test_a_worker_goes_on_where_it_cannot_learn_how_long_to_stay() -> None:
    """Whatever is raised there ends no beat, and the worker leaves in the end."""
    tasks, left = threading.Event(), threading.Event()

    def idle_timeout_s() -> float:
        raise ValueError("what was written there is no JSON")

    with BackgroundTasks([tasks.set], left.set, 0.05, idle_timeout_s):
        assert tasks.wait(10)
    assert left.wait(10)
