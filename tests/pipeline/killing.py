"""Kill a backfill again and again, resume it, and count what was paid."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.pipeline import cli
from tests.servers import CardServer


@dataclass(frozen=True, slots=True)
class Killed:
    """What came of it: kills that hit, and how often a picture was sent again."""

    kills: int
    calls: int
    paid_twice: int


def kill_and_resume(server: CardServer, arguments: list[str], kills: int, longest_s: float, seed: int = 1) -> Killed:
    """Run a backfill to its end through a number of `kill -9`, each a random time after a session's first call.

    A session without a call left is killed a random time after its start, which hits the publishing.
    """
    chance = random.Random(seed)
    hit = 0
    while hit < kills:
        calls_before = sum(server.calls.values())
        child = cli.start("backfill", *arguments)
        while child.poll() is None and sum(server.calls.values()) == calls_before:
            time.sleep(0.002)
        if child.poll() is not None:
            _check(child)
            break
        time.sleep(chance.uniform(0, longest_s))
        if child.poll() is None:
            hit += 1
        _kill(child)
    last = cli.run("backfill", *arguments)
    assert last.returncode == 0, last.stderr
    calls = sum(server.calls.values())
    return Killed(hit, calls, calls - len(server.calls))


def _kill(child: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.communicate()


def _check(child: subprocess.Popen[str]) -> None:
    _, err = child.communicate()
    assert child.returncode == 0, err


def kill_while_publishing(arguments: list[str], output: Path, kills: int, seed: int = 1) -> int:
    """Kill `publish` at random moments of its work; how many hit it before its end."""
    chance = random.Random(seed)
    started_s = time.monotonic()
    assert cli.run("publish", *arguments).returncode == 0
    whole_s = time.monotonic() - started_s
    hit = 0
    for _ in range(kills):
        child = cli.start("publish", *arguments)
        time.sleep(chance.uniform(0.3, 1.0) * whole_s)
        hit += child.poll() is None
        _kill(child)
    return hit
