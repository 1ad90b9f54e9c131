"""The worked examples do what the nightly page says with each exit status."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import CardServer, failure, success

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def cardbeam(tmp_path: Path) -> Path:
    """An installation whose run.sh is this very checkout in this very interpreter, without set-up."""
    home = tmp_path / "cardbeam"
    home.mkdir()
    script = home / "run.sh"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pipeline "$@"\n')
    script.chmod(0o755)
    return home


@pytest.mark.slow
def test_cron(cardbeam: Path, tmp_path: Path, jpeg: bytes) -> None:
    """A run without requests left is gone on with in the morning, once; flock lets nobody in meanwhile."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "card.jpg").write_bytes(jpeg)
    responses = [failure("4"), success(("passport", {"id": "B1"}))]
    with CardServer(lambda _: responses[min(len(server.received), 2) - 1]) as server:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "CARDBEAM": str(cardbeam),
            "STATE_DIRECTORY": str(tmp_path),
            "INPUT": str(tmp_path / "in"),
            "OUTPUT": str(tmp_path / "out"),
            "CARD_API_KEY": "test-key",
            "CARD_API_SECRET": "test-secret-9f2c",
        }
        command = ["flock", "--nonblock", str(tmp_path / "lock"), str(EXAMPLES / "nightly.sh")]
        message = [f"--endpoint_url={server.base_url}"]
        statuses = [
            subprocess.run([*command, *resume, *message], env=environment, capture_output=True, check=False).returncode
            for resume in ([], ["--resume"], ["--resume"])
        ]
    assert statuses == [3, 0, 0]
    assert len(server.received) == 2
    with Path(tmp_path, "lock").open() as lock:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX)
        assert subprocess.run([*command, *message], env=environment, capture_output=True, check=False).returncode == 1


def test_crontab(cardbeam: Path, tmp_path: Path) -> None:
    """Each line of the table, run by sh with the little that cron gives, has what the settings' file says."""
    cardbeam.joinpath("run.sh").write_text('#!/bin/sh\necho "$CARD_API_KEY" "$@"\nexit 3\n')
    shutil.copytree(EXAMPLES, cardbeam / "examples")
    settings = tmp_path / "cardbeam.env"
    settings.write_text("INPUT='s3://photos/**/*.jpg'\nOUTPUT=s3://tables\nCARD_API_KEY=key\n")
    lines = [line for line in (EXAMPLES / "crontab").read_text().splitlines() if not line.startswith("#")]
    given = {"PATH": "/usr/bin:/bin", "STATE_DIRECTORY": str(tmp_path)}
    given |= dict(line.split("=", 1) for line in lines if not line[0].isdigit())
    given |= {"CARDBEAM": str(cardbeam), "SETTINGS": str(settings)}
    commands = [line.split(maxsplit=5)[5].replace("/run/lock", str(tmp_path)) for line in lines if line[0].isdigit()]
    for command in commands:
        found = subprocess.run(["sh", "-c", command], env=given, capture_output=True, text=True, check=False)
        assert (found.returncode, found.stderr) == (3, "")
        arguments = "retain --output=s3://tables --policy=/etc/cardbeam-retention.toml"
        arguments = arguments if "retain" in command else "backfill --input=s3://photos/**/*.jpg --output=s3://tables"
        assert found.stdout.startswith(f"key {arguments}\n")


def test_systemd(tmp_path: Path) -> None:
    """systemd takes both units as they are."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd here")
    for name in ("cardbeam.service", "cardbeam.timer"):
        unit = EXAMPLES.joinpath(name).read_text().replace("/opt/cardbeam", str(ROOT))
        tmp_path.joinpath(name).write_text(unit)
    units = [str(tmp_path / name) for name in ("cardbeam.service", "cardbeam.timer")]
    found = subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    calendar = [analyze, "calendar", "*-*-* 01:00:00"]
    assert subprocess.run(calendar, capture_output=True, check=False).returncode == 0
