"""A run ends as it ended, whoever reads of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.cli import ENVIRONMENT, ROOT
from tests.pipeline.killing import answer, backfill_arguments, draw_images
from tests.servers import CardServer


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["closed", "pipe", "full"])
def test_standard_output_that_cannot_be_written(closed: str, tmp_path: Path) -> None:
    """It is closed, its reader has gone, or its disk is full: the run is complete and says so by its status."""
    draw_images(tmp_path / "in", 3)
    with CardServer(lambda got: answer(got, 0.0)) as server:
        arguments = backfill_arguments(server, tmp_path / "in", str(tmp_path / "out"), 2)
        command = [sys.executable, "-m", "pipeline", "backfill", *arguments]
        shell = {"closed": '"$@" >&-', "pipe": '{ "$@"; echo $? >status; } | :', "full": '"$@" >/dev/full'}[closed]
        script = f"{shell}; [ -e status ] && exit $(cat status)" if closed == "pipe" else shell
        ended = subprocess.run(
            ["bash", "-c", script, "sh", *command],
            env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            check=False,
            stderr=subprocess.PIPE,
            text=True,
            timeout=300,
        )
    assert ended.returncode == 0, ended.stderr
    assert len(list((tmp_path / "out/runs").glob("*/receipt.json"))) == 1


def test_help_needs_no_package(tmp_path: Path) -> None:
    """`./run.sh --help` in a fresh checkout tells the commands and sets up nothing."""
    for name in ("pipeline", "cardbeam"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "run.sh", tmp_path)
    path = {"PATH": f"{Path(sys.base_prefix)}/bin:{os.environ['PATH']}"}
    command = [tmp_path / "run.sh", "--help"]
    shown = subprocess.run(command, env=path, capture_output=True, text=True, timeout=120, check=False)
    assert (shown.returncode, "backfill" in shown.stdout, shown.stderr) == (0, True, "")
    assert not (tmp_path / ".venv").exists()
