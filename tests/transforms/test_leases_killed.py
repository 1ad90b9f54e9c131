"""Real worker processes share a rate through a real folder; what one that is killed had goes to the others."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.transforms.lease_simulation import most_in_a_window
from transforms.leases import LEASES
from transforms.presence import Presence
from transforms.storage import LocalFolder

RATE_PER_S = 20
ROOT = Path(__file__).resolve().parents[2]


def _start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.transforms.lease_child", str(folder), str(RATE_PER_S)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def _times_s(child: subprocess.Popen[str]) -> list[float]:
    child.kill()
    return [float(line) for line in child.communicate()[0].splitlines() if line.endswith(tuple("0123456789"))]


@pytest.mark.slow
def test_the_others_take_over_from_a_worker_that_is_killed(tmp_path: Path) -> None:
    children = [_start(tmp_path) for _ in range(3)]
    while not (leases := list(LocalFolder(str(tmp_path)).list(f"runs/run/{LEASES}"))) or len(leases) < 3:
        time.sleep(0.1)
    time.sleep(10.0)
    killed_s = time.monotonic()
    children[0].kill()
    time.sleep(17.0)
    ended_s = time.monotonic()
    by_child = [_times_s(child) for child in children]
    times_s = [time_s for given_s in by_child for time_s in given_s]
    assert most_in_a_window(times_s, 1.0) <= RATE_PER_S
    shares = [sum(killed_s - 3 <= time_s < killed_s for time_s in given_s) for given_s in by_child]
    assert all(0.25 * 3 * RATE_PER_S < share < 0.4 * 3 * RATE_PER_S for share in shares)
    late = [time_s for time_s in times_s if killed_s + 12 <= time_s < min(ended_s, killed_s + 15)]
    assert len(late) > 0.9 * 3 * RATE_PER_S


def test_a_worker_is_present_while_something_is_under_way_and_leaves_once_a_while_after() -> None:
    beats: list[str] = []
    left = threading.Event()

    def fail() -> None:
        beats.append("fail")
        raise OSError("the store is away")

    presence = Presence([fail, lambda: beats.append("beat")], left.set, 0.05)
    for _ in range(2):
        with presence, presence:
            while len(beats) < 8:
                time.sleep(0.01)
            assert not left.is_set()
        assert left.wait(10)
        assert beats[:4] == ["fail", "beat"] * 2  # what fails stops neither the others nor the next time
        left.clear()
        beats.clear()


def test_a_worker_leaves_as_soon_as_it_may() -> None:
    """The wait for it is cut short where the next beat is far; not before it may."""
    done, left = threading.Event(), threading.Event()
    left_at_s: list[float] = []

    def linger_s() -> float:
        done.wait(10)  # else it may look before the request has ended, and again only a beat later
        return 0.2

    def leave() -> None:
        left_at_s.append(time.monotonic())
        left.set()

    with Presence([], leave, 30.0, linger_s):
        ended_at_s = time.monotonic()
    done.set()
    assert left.wait(10)
    assert left_at_s[0] - ended_at_s >= 0.2


def test_a_worker_goes_on_where_it_cannot_learn_how_long_to_stay() -> None:
    """Whatever is raised there ends no beat, and the worker leaves in the end."""
    beats, left = threading.Event(), threading.Event()

    def linger_s() -> float:
        raise ValueError("what was written there is no JSON")

    with Presence([beats.set], left.set, 0.05, linger_s):
        assert beats.wait(10)
    assert left.wait(10)
