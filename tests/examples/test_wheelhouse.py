"""A wheelhouse made from the pins installs without a network, each file checked by its hash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PINS = Path(__file__).resolve().parents[2] / "constraints" / "kafka.txt"
_PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
_OFFLINE = {"PIP_NO_INDEX": "1", "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
"""A proxy that is not there: whatever asks the network fails."""


def test_what_was_downloaded_is_installed_offline(tmp_path: Path) -> None:
    """As docs/networks.md says, with the pins of one small extra; a wheel that was changed is refused."""
    wheels, target = tmp_path / "wheelhouse", tmp_path / "installed"
    pins = ["--require-hashes", "--no-deps", "-r", str(PINS)]
    got = subprocess.run([*_PIP, "download", "-d", str(wheels), *pins], capture_output=True, text=True, check=False)
    if got.returncode:
        pytest.skip("no package registry can be reached")
    offline = {**os.environ, **_OFFLINE, "PIP_FIND_LINKS": str(wheels), "PIP_NO_CACHE_DIR": "1"}

    def install(folder: Path) -> subprocess.CompletedProcess[str]:
        command = [*_PIP, "install", "--target", str(folder), *pins]
        return subprocess.run(command, env=offline, capture_output=True, text=True, check=False)

    assert install(target).returncode == 0
    assert (target / "confluent_kafka" / "__init__.py").exists()
    (wheel,) = wheels.iterdir()
    wheel.write_bytes(wheel.read_bytes() + b"x")
    assert "DO NOT MATCH THE HASHES" in install(tmp_path / "again").stderr
