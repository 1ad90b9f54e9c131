"""The wheel gives the command `cardbeam`; it works outside the checkout, and takes no modules of its folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from cardbeam.run_state.receipt import read_receipt
from cardbeam.storage.folder import LocalFolder
from tests.servers import CardServer, success

ROOT = Path(__file__).resolve().parents[2]
_SOURCES = ("setup.py", "pyproject.toml", "README.md", "schemas", "cardbeam", "transforms", "pipeline", "endpoint")
_PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in an environment of its own, which shares the other packages of this one."""
    folder = tmp_path_factory.mktemp("wheel")
    wheel = [*_PIP, "wheel", "-q", "--no-deps", f"--wheel-dir={folder}"]
    tree = folder / "tree"
    tree.mkdir()
    subprocess.run(["cp", "-r", *_SOURCES, str(tree)], cwd=ROOT, check=True)  # a build leaves files where it is made
    subprocess.run([*wheel, str(tree)], check=True, cwd=folder)
    (built,) = folder.glob("cardbeam-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    (packages / "shared.pth").write_text(sysconfig.get_path("purelib"))  # without what it says of editable packages
    python = folder / "venv" / "bin" / "python"
    subprocess.run(
        [*_PIP, f"--python={python}", "install", "-q", "--no-deps", "--ignore-installed", str(built)],
        check=True,
        cwd=folder,
    )
    return python.with_name("cardbeam")


_NIGHT = (
    *("--input=*.jpg", "--output=out", "--run_id=night"),
    *("--runner=FnApiRunner", "--direct_running_mode=multi_processing"),
)


@pytest.mark.slow
def test_the_command_runs_in_a_folder_with_modules_of_its_own(
    program: Path, tmp_path: Path, draw: Callable[..., bytes]
) -> None:
    """A backfill, its worker a process of its own, in a folder that has `transforms`, `pipeline` and `schemas`."""
    for name in ("transforms", "pipeline", "schemas", "cardbeam"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('not ours')")
    (tmp_path / "0.jpg").write_bytes(draw(0))
    left_out = ("PYTHONPATH", "PYTHONSAFEPATH")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    environment |= {"CARD_API_KEY": "key", "CARD_API_SECRET": "secret"}
    with CardServer(lambda got: success(("passport", {"id": got.key[:12]}))) as server:
        ran = subprocess.run(
            [program, *_NIGHT, f"--endpoint_url={server.base_url}"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    receipt = read_receipt(LocalFolder(str(tmp_path / "out")), "night")
    assert receipt is not None
    assert (receipt.status, receipt.documents) == ("complete", {"passport": 1})


@pytest.mark.slow
def test_the_command_names_itself(program: Path, tmp_path: Path) -> None:
    """Its help and its errors name the program that was called."""
    asked = [("--help",), ("backfill", "--ouput=x")]
    ran = [subprocess.run([program, *one], cwd=tmp_path, capture_output=True, text=True, check=False) for one in asked]
    assert [one.returncode for one in ran] == [0, 2]
    assert ran[0].stdout.startswith("usage: cardbeam COMMAND")
    assert ran[1].stderr.startswith("cardbeam backfill: ")
