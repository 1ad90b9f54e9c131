"""`config show` prints each merged option with its source, and nothing that is secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.commands.config import main, shown


def test_each_value_names_its_source(tmp_path: Path) -> None:
    """Defaults too; the lines are TOML again."""
    path = tmp_path / "run.toml"
    path.write_text('output = "s3://me:pass@b/cards?sig=abc"\ninput = ["${IN}"]\ns3_secret_access_key = "hide me"')
    lines = list(
        shown(
            "backfill",
            [f"--config={path}", "--max_calls=4"],
            {"IN": "in/*.jpg", "CARDBEAM_DEDUPE": "source", "CARD_API_SECRET": "hide me"},
        )
    )
    message = [f'input = ["in/*.jpg"]  # {path}', "max_calls = 4  # command line", "max_attempts = 5  # default"]
    message += ['dedupe = "source"  # environment CARDBEAM_DEDUPE', "# CARD_API_SECRET: *** (environment)"]
    message += [f's3_secret_access_key = "***"  # {path}', f'output = "s3://***@b/cards?***"  # {path}']
    assert [one for one in message if one not in lines] == []
    assert not any(secret in line for line in lines for secret in ("hide me", "pass", "abc"))


def test_it_is_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Of each command that begins a run."""
    assert main(["show", "watch", "--poll_interval_s=3"]) == 0
    assert "interval_s = 3.0  # command line\n" in capsys.readouterr().out
