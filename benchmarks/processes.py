"""A backfill in processes of its own, watched from outside: memory of all it starts, CPU, when it called."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.machine import CREDENTIALS, Endpoint

_HERE = Path(__file__).resolve().parent.parent
_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class Ran:
    """What a backfill took. Times are those of the machine's monotonic clock."""

    started_s: float
    ended_s: float
    came_s: list[float]
    cpu_s: float
    peak_mb: float
    """Of the launching process and all that it started, at one time."""


def run_backfill(server: Endpoint, asked: Sequence[str], sample: Callable[[], None] = lambda: None) -> Ran:
    """One backfill by the command line; `look` is called a few times a second while it runs.

    Raises:
        RuntimeError: it failed; the message ends with what it said.
    """
    before = len(server.served().came_s)
    started_s = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline", "backfill", f"--endpoint_url={server.base_url}", *asked],
        cwd=_HERE,
        env={**os.environ, **CREDENTIALS, "PYTHONPATH": str(_HERE)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        given: list[str] = []
        reader = threading.Thread(target=lambda: given.extend(child.stderr or ()), daemon=True)
        reader.start()
        peak_mb = cpu_s = 0.0
        while child.poll() is None:
            held_mb, now_s = tree_of(child.pid)
            peak_mb, cpu_s = max(peak_mb, held_mb), max(cpu_s, now_s)
            sample()
            time.sleep(_EVERY_S)
        reader.join()
    if child.returncode:
        raise RuntimeError(f"backfill ended with {child.returncode}: {''.join(given)[-2000:]}")
    return Ran(started_s, time.monotonic(), sorted(server.served().came_s[before:]), cpu_s, peak_mb)


def tree_of(pid: int) -> tuple[float, float]:
    """Memory in MB that a process and all it started hold now, and the CPU seconds they took."""
    held_bytes, cpu_s = 0, 0.0
    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0, 0.0
    for process in processes:
        try:
            held_bytes += process.memory_info().rss
            cpu_s += sum(process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return held_bytes / 1e6, cpu_s
