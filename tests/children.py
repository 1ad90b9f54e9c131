"""Children of a test in process groups of their own; those that still run when it has ended are killed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_started: list[subprocess.Popen[str]] = []


def start_child(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a command whose output is read by whoever waits for it."""
    child = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    _started.append(child)
    return child


def kill_children() -> None:
    """Kill what a test that failed left behind: a watch would run on beside all that follow."""
    for child in _started:
        if child.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    _started.clear()
