"""What the endpoint's tests share: real servers, started as users start them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests

from tests.endpoint import simple_reader
from tests.endpoint.image_host import ImageHost, image_host

ROOT = Path(__file__).parents[2]
AUTH = ("a-key", "a-secret")
START_WITHIN_S = 120  # a loaded machine; it takes about one second


@dataclass(frozen=True)
class RunningEndpoint:
    """An endpoint that is ready. Its log is whole once it has stopped."""

    base_url: str
    process: subprocess.Popen[str]
    log_path: Path

    @property
    def root_url(self) -> str:
        return self.base_url.removesuffix("/api/v2")

    def post_file(self, operation: str, *images: bytes, timeout_s: float = 60, **params: str) -> requests.Response:
        names = ["img"] if len(images) == 1 else [f"img{n}" for n, _ in enumerate(images, 1)]
        files = {name: ("card.png", image) for name, image in zip(names, images, strict=True)}
        params = {"format_type": "file", **params}
        return requests.post(f"{self.base_url}/{operation}", params=params, files=files, auth=AUTH, timeout=timeout_s)

    def wait_until_reading(self) -> None:
        """Return once a worker reads the SLOW or ENDLESS image that was sent."""
        give_up_at = time.monotonic() + START_WITHIN_S
        while not (self.log_path.parent / simple_reader.BEGUN).exists():
            assert time.monotonic() < give_up_at, "no worker reads"
            time.sleep(0.01)

    def workers(self) -> list[psutil.Process]:
        return worker_processes(self.process.pid)


def worker_processes(pid: int) -> list[psutil.Process]:
    """The workers that a process has started and that still live."""
    found = []
    for child in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess):  # a zombie, too, says this
            if "LokyProcess" in str(child.cmdline()):
                found.append(child)
    return found


def environment(notes: Path) -> dict[str, str]:
    known = {"CARD_API_KEY": AUTH[0], "CARD_API_SECRET": AUTH[1], simple_reader.NOTES: str(notes)}
    return {**os.environ, **known, "PYTHONPATH": str(ROOT)}


@contextmanager
def running_endpoint(folder: Path, *options: str, reader: str = simple_reader.NAME) -> Iterator[RunningEndpoint]:
    port_file, log_path = folder / "port", folder / "log"
    command = [sys.executable, "-m", "endpoint", "--port=0", f"--port_file={port_file}", f"--reader={reader}", *options]
    with log_path.open("w") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT, env=environment(folder)
        )
        try:
            yield RunningEndpoint(_ready(process, port_file, log_path), process, log_path)
        finally:
            process.terminate()
            process.wait(timeout=60)
            process.stdout.close()


def _ready(process: subprocess.Popen[str], port_file: Path, log_path: Path) -> str:
    give_up_at = time.monotonic() + START_WITHIN_S
    while not port_file.exists():
        assert process.poll() is None, log_path.read_text()
        assert time.monotonic() < give_up_at, "not ready in time"
        time.sleep(0.02)
    return port_file.read_text().strip()


Start = Callable[..., RunningEndpoint]


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts endpoints with the simple reader; they stop with the test."""
    with ExitStack() as running:
        yield lambda *options, **named: running.enter_context(
            running_endpoint(tmp_path_factory.mktemp("endpoint"), *options, **named)
        )


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEndpoint]:
    """One endpoint for all tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("endpoint")
    with running_endpoint(folder, "--workers=2", "--allow_private_addresses", "--max_body_mb=1") as ready:
        yield ready


@pytest.fixture(scope="session")
def images() -> Iterator[ImageHost]:
    with image_host() as host:
        yield host
