"""What every measurement needs: the machine, child processes with what they cost, the endpoint, medians, JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

_PACKAGES = ("apache-beam", "ray", "requests", "urllib3", "pyarrow", "orjson")
_HERE = Path(__file__).resolve().parent.parent
CREDENTIALS = {"CARD_API_KEY": "bench", "CARD_API_SECRET": "bench"}


def machine() -> dict[str, Any]:
    """What a figure depends on: processors, load at the start, versions."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@dataclass(frozen=True, slots=True)
class Served:
    """What an endpoint saw: when requests came, how many it refused, and its own CPU."""

    came_s: list[float]
    refused: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A running endpoint of `card_server`."""

    port: int

    @property
    def base_url(self) -> str:
        """What `--endpoint_url` takes."""
        return f"http://127.0.0.1:{self.port}/api/v2"

    @property
    def images_url(self) -> str:
        """Where it serves the images."""
        return f"http://127.0.0.1:{self.port}/images"

    def served(self) -> Served:
        """All that it saw until now."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/stats") as response:
            return Served(**json.load(response))


@contextmanager
def endpoint(
    latency_s: float = 0.0,
    most_per_second: int = 0,
    *,
    slow_every: int = 0,
    images: Path | None = None,
    real_time: bool = False,
) -> Iterator[Endpoint]:
    """An endpoint in a process of its own; with a folder of `images` it is their web server too."""
    command = [f"--latency_s={latency_s}", f"--most_per_second={most_per_second}", f"--slow_every={slow_every}"]
    command += [f"--images={images}"] if images else []
    command += ["--real_time"] if real_time else []
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.card_server", *command], stdout=subprocess.PIPE, text=True, cwd=_HERE
    ) as child:
        try:
            yield Endpoint(int(child.stdout.readline() if child.stdout else 0))
        finally:
            child.kill()


def run_child(module: str, *arguments: str) -> dict[str, Any]:
    """Run a module that prints one JSON object as its last line.

    Raises:
        RuntimeError: it failed; the message ends with what it said.
    """
    child = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        cwd=_HERE,
        env={**os.environ, **CREDENTIALS, "RAY_DEDUP_LOGS": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"},
        check=False,
    )
    if child.returncode:
        raise RuntimeError(f"{module} {' '.join(arguments)} failed: {child.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(child.stdout.strip().splitlines()[-1])
    return found


def medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each figure over runs."""
    return {name: round(median(run[name] for run in runs), 4) for name in runs[0]}


def most_in_a_second(times_s: Iterable[float]) -> int:
    """The most of these times within any half-open second."""
    ordered, start, most = sorted(times_s), 0, 0
    for end, time_s in enumerate(ordered):
        while ordered[start] <= time_s - 1.0:
            start += 1
        most = max(most, end - start + 1)
    return most
