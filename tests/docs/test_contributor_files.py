"""The files for contributors are read by the programs that they are for, and name commands that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

PACKAGES = ("schemas", "cardbeam", "transforms", "pipeline", "endpoint")


def _yaml(path: str) -> dict:
    return pytest.importorskip("yaml").safe_load((ROOT / path).read_text())


def test_the_workflow_calls_what_ci_runs() -> None:
    (job,) = _yaml(".github/workflows/ci.yml")["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step][-1] == ".ci/run"
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_what_ci_leaves_out_runs_each_night() -> None:
    (job,) = _yaml(".github/workflows/nightly.yml")["jobs"].values()
    assert "check -m nightly " in [step["run"] for step in job["steps"] if "run" in step][-1]
    assert " -m 'slow and not nightly' " in (ROOT / ".ci" / "run").read_text()


def test_each_hook_is_a_step_of_check() -> None:
    (repository,) = _yaml(".pre-commit-config.yaml")["repos"]
    programs = {hook["entry"].split()[0] for hook in repository["hooks"]}
    steps = (ROOT / "run.sh").read_text()
    assert {program for program in programs if f'"$venv/bin/{Path(program).name}"' not in steps} == set()


def test_the_newest_version_of_the_changelog_is_the_package_s() -> None:
    newest = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    assert f'version="{newest}"' in (ROOT / "setup.py").read_text()


def test_each_package_of_the_wheel_has_types() -> None:
    assert [name for name in PACKAGES if not (ROOT / name / "py.typed").exists()] == []
