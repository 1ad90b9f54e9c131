"""What is guarded ends with the process that started it, however that one ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.launch.engines import guard
from tests.engines.processes import wait_for_end

STARTS = """
import subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
print(child.stdout.readline().decode(), flush=True)
child.wait()
"""
SLEEPS = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
GUARDED = [sys.executable, "-I", "-S", guard.__file__, sys.executable, "-c"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_the_process_that_started_it(number: signal.Signals, tmp_path: Path) -> None:
    """A launcher that is killed without a chance to clean up leaves nothing behind."""
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTS, *GUARDED, SLEEPS], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    starter.send_signal(number)
    starter.wait()
    starter.stdout.close()
    assert wait_for_end(pid)


def test_a_signal_to_the_group_does_not_end_it(tmp_path: Path) -> None:
    """Ctrl-C, SIGTERM and SIGHUP are the launcher's to judge: the guard goes on, and ends with what it guards."""
    code = "import time; print('up', flush=True); time.sleep(0.5); raise SystemExit(7)"
    child = subprocess.Popen([*GUARDED, code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path)
    assert child.stdout is not None
    child.stdout.readline()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        child.send_signal(number)
    assert child.wait() == 7
    child.communicate()
