"""A command line is taken whole or refused with one line that says what to change."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from endpoint.options import Credentials, Options, UsageError, credentials_from, parse


def test_options_are_read_in_both_spellings() -> None:
    read = parse(["--port=0", "--host", "::1", "--workers=3", "--latency_s=0.5", "--allow_anonymous"])
    assert read == Options(port=0, host="::1", workers=3, latency_s=0.5, allow_anonymous=True)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--latncy_s=1"], "unknown option --latncy_s, did you mean --latency_s?"),
        (["--qqqq"], "unknown option --qqqq"),
        (["extra"], "unknown option extra"),
        (["--port=x"], "argument --port: invalid int value: 'x'"),
        (["--port=70000"], "--port: 70000 is above 65535"),
        (["--port=-1"], "--port: -1 is below 0"),
        (["--workers=0"], "--workers: 0 is below 1"),
        (["--latency_s=nan"], "--latency_s: nan is below 0"),
        (["--card_timeout_s=0"], "--card_timeout_s: 0.0 is below 0.001"),
        (["--port_file=/no/such/folder/port"], "--port_file: no folder '/no/such/folder'"),
        (["--port"], "argument --port: expected one argument"),
    ],
)
def test_a_wrong_command_line_is_refused_with_its_reason(argv: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(argv)
    assert str(caught.value) == message


def test_help_says_every_option_and_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(["--help"])
    shown = capsys.readouterr().out
    assert caught.value.code == 0
    assert [option.name for option in fields(Options) if f"--{option.name}" not in shown] == []
    assert "default: 127.0.0.1" in shown


def test_credentials_come_from_the_environment_alone() -> None:
    known = {"CARD_API_KEY": "k", "CARD_API_SECRET": "s"}
    assert credentials_from(known, Options()) == Credentials("k", "s")
    assert credentials_from(known, Options(allow_anonymous=True)) is None
    assert credentials_from({}, Options(allow_anonymous=True)) is None
    for part in ({}, {"CARD_API_KEY": "k"}, {**known, "CARD_API_SECRET": ""}):
        with pytest.raises(UsageError, match="CARD_API_KEY and CARD_API_SECRET"):
            credentials_from(part, Options())


def test_credentials_do_not_show_themselves() -> None:
    assert "k-1" not in repr(Credentials("k-1", "s-1")) + str(Credentials("k-1", "s-1"))


def test_a_port_file_beside_one_is_fine(tmp_path: Path) -> None:
    assert parse([f"--port_file={tmp_path / 'port'}"]).port_file == str(tmp_path / "port")


@pytest.mark.slow
def test_the_default_of_workers_is_within_its_range_on_the_largest_machine() -> None:
    reported = (
        "import loky; loky.cpu_count = lambda: 384; from endpoint.options import Options; print(Options().workers)"
    )
    child = subprocess.run([sys.executable, "-c", reported], capture_output=True, text=True, check=False)
    assert (child.stdout, child.returncode) == ("256\n", 0)
