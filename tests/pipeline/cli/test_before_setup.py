"""Help and unknown options are told without a package, as the commands' own parsers tell them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.cli.before_setup import main as tell
from pipeline.cli.before_setup import options_of, runner_options
from pipeline.cli.options import _beam_parser
from pipeline.launch.engines import job_server  # noqa: F401  # its option is one of the runners

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = (
    "backfill",
    "watch",
    "plan",
    "replay",
    "publish",
    "status",
    "runs",
    "sql",
    "ddl",
    "report",
    "doctor",
    "demo",
)
SOURCES = ("run.sh", "setup.py", "constraints", "cardbeam", "pipeline", "schemas", "transforms", "specimens")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_source_tells_what_the_parser_tells(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same options, with the same help."""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    printed = " ".join(capsys.readouterr().out.split()).replace("- ", "-")
    known = options_of(command)
    assert known is not None
    named = set(re.findall(r"(?:^| )(--[a-z_]+) (?=[A-Z{])", printed)) - {"--config", "--runner", "--flink_master"}
    assert named == set(known.helps) - set(re.findall("--temp_location", printed))
    helps = [" ".join(text.split()).replace("- ", "-").partition(" Default: %")[0] for text in known.helps.values()]
    assert [text for text in helps if text[:60].partition("%(")[0] not in printed] == []


def test_the_list_of_runner_options_is_beam_s() -> None:
    """Where this fails: write the names that the assertion shows into pipeline/cli/runner_options.txt."""
    names = {name for name in _beam_parser().option_names() if name.startswith("--")} - {"--help"}
    assert set(runner_options()) ^ names == set()


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["backfill", "--ouput=x"], 2, "run.sh backfill: unknown option --ouput; did you mean --output?"),
        (["sql", "--output=x", "--nmae"], 2, "run.sh sql: unknown option --nmae"),
        (["backfill", "--max_calls=many"], 2, "argument --max_calls: invalid int value: 'many'"),
        (["watch", "--help"], 0, "--poll_interval_s"),
        (["backfill", "--input=i", "--output=o", "--temp_location=t"], 0, ""),
        (["config", "show", "backfill", "--input=x"], 0, ""),
        (["nosuch", "--x"], 0, ""),
    ],
)
def test_wrong_options(arguments: list[str], status: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By name; with the packages there, by value too. Other words are left to the command."""
    assert tell(arguments) == status
    printed = capsys.readouterr()
    assert says in printed.out + printed.err


def test_right_options_say_nothing() -> None:
    """Nor does what their parsers import, in a process of its own."""
    command = [sys.executable, "-m", "pipeline.cli.before_setup", "runs", "--output=x"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.slow
def test_a_fresh_checkout_stays_as_it_is(tmp_path: Path) -> None:
    """Help and unknown options set nothing up."""
    for name in SOURCES:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    found = [
        subprocess.run([str(tmp_path / "run.sh"), *words], capture_output=True, text=True, timeout=60, check=False)
        for words in (["--help"], ["backfill", "--help"], ["watch", "--pol_interval_s=3"], ["backfill", "--ouput=x"])
    ]
    assert [one.returncode for one in found] == [0, 0, 2, 2]
    assert ["--max_requests_per_second" in found[1].stdout, found[1].stderr, found[2].stdout] == [True, "", ""]
    assert found[2].stderr.startswith("run.sh watch: unknown option --pol_interval_s; did you mean --poll_interval_s?")
    assert not (tmp_path / ".venv").exists()
