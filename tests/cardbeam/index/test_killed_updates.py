"""A process that is killed in the middle of an update of the index loses nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.pipeline.cli import ENVIRONMENT, ROOT


@pytest.mark.slow
def test_a_process_that_is_killed_at_a_step() -> None:
    """By SIGKILL, before some of the files that it writes, renames or removes: all is known afterwards."""
    command = [sys.executable, "-m", "tests.cardbeam.index.killed_updates", "4"]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.endswith("kills: nothing lost\n")) == (0, True), done.stdout + done.stderr
