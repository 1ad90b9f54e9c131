"""Examples run without rights, and every package that run.sh installs is pinned with its hashes."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES, CONSTRAINTS = ROOT / "examples", ROOT / "constraints"
PIN = re.compile(r"^([A-Za-z0-9._-]+)==\S+", re.MULTILINE)
NOT_PINNED = {"airflow"}
"""An environment of its own."""


def required() -> dict[str, set[str]]:
    """The packages that setup.py names, by extra; under `base` those of every installation."""
    (call,) = [node for node in ast.walk(ast.parse((ROOT / "setup.py").read_text())) if _is_setup(node)]
    given = {word.arg: word.value for word in call.keywords}
    found = {"base": ast.literal_eval(given["install_requires"]), **ast.literal_eval(given["extras_require"])}
    return {name: {_name(text) for text in texts} for name, texts in found.items() if name not in NOT_PINNED}


def _is_setup(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setup"


def _name(text: str) -> str:
    return re.sub(r"[._]", "-", re.match(r"[A-Za-z0-9._-]+", text)[0].lower())


def pinned(name: str) -> set[str]:
    return {_name(found) for found in PIN.findall((CONSTRAINTS / f"{name}.txt").read_text())}


def test_every_package_of_every_extra_is_pinned() -> None:
    """Where this fails: python constraints/update.py."""
    missing = {name: names - pinned(name) - pinned("base") for name, names in required().items()}
    assert missing == {name: set() for name in required()}


def test_every_pin_has_a_hash() -> None:
    blocks = [block for path in CONSTRAINTS.glob("*.txt") for block in re.split(r"\n(?=\w)", path.read_text())[1:]]
    assert [block for block in blocks if "--hash=sha256:" not in block] == []


@pytest.mark.parametrize("name", ["Dockerfile", "worker.Dockerfile"])
def test_images_run_as_a_user_without_rights(name: str) -> None:
    users = [line for line in (EXAMPLES / name).read_text().splitlines() if line.startswith("USER ")]
    assert users == ["USER 65532:65532"]


def test_the_unit_is_hardened() -> None:
    """`systemd-analyze` gives it at most 3 of 10 points of exposure."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=30", str(EXAMPLES / "cardbeam.service")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout[-500:] + ended.stderr
