"""`bench runners`: one backfill on each local runner, side by side: what a start costs, how fast, how much memory.

The command line in a process of its own; memory is the most that it and all it starts held at once.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.images import write_images
from benchmarks.machine import Endpoint, endpoint, medians
from benchmarks.processes import run_backfill
from tests.engines.install import prism

_RUNNERS = ("FnApiRunner", "PrismRunner")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Medians over runs for each runner."""
    parser = argparse.ArgumentParser(prog="run.sh bench runners", description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--image_bytes", type=int, default=219_000)
    parser.add_argument("--latency_s", type=float, default=0.3)
    parser.add_argument("--in_flight", type=int, default=64)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, endpoint(asked.latency_s) as server:
        write_images(Path(folder, "in"), asked.images, asked.image_bytes)
        runs: dict[str, list[dict[str, float]]] = {runner: [] for runner in _RUNNERS}
        for number in range(asked.runs):
            for runner in _RUNNERS:
                output = f"{folder}/out-{runner}-{number}"
                runs[runner].append(_measure(runner, f"{folder}/in", output, server, asked.in_flight))
    return {runner: medians(of_runner) for runner, of_runner in runs.items()}


def _measure(runner: str, images: str, output: str, server: Endpoint, in_flight: int) -> dict[str, float]:
    asked = [f"--input={images}/*.jpg", f"--output={output}", "--max_requests_per_second=0"]
    asked += [f"--max_in_flight={in_flight}", f"--runner={runner}"]
    asked += [f"--prism_location={prism()}"] if runner == "PrismRunner" else ["--direct_running_mode=in_memory"]
    ran = run_backfill(server, asked)
    calling_s = ran.came_s[-1] - ran.came_s[0]
    return {
        "start_s": ran.came_s[0] - ran.started_s,
        "calls_per_s": (len(ran.came_s) - 1) / calling_s,
        "publish_s": ran.ended_s - ran.came_s[-1],
        "whole_s": ran.ended_s - ran.started_s,
        "cpu_s": ran.cpu_s,
        "peak_mb": ran.peak_mb,
    }
