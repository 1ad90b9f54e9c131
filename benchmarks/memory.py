"""`bench memory`: peak memory of one worker, as the number of pictures grows a hundredfold."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import endpoint, run_child
from benchmarks.pictures import write_pictures


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Peak memory and rate for each number of pictures, and the largest peak over the smallest."""
    parser = argparse.ArgumentParser(prog="run.sh bench memory", description=__doc__)
    parser.add_argument("--pictures", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--picture_bytes", type=int, default=4_000)
    parser.add_argument("--in_flight", type=int, default=16)
    asked = parser.parse_args(arguments)
    found = {str(count): _measure(count, asked) for count in asked.pictures}
    peaks_mb = [figures["peak_mb"] for figures in found.values()]
    return {**found, "most_over_least": round(max(peaks_mb) / min(peaks_mb), 3)}


def _measure(count: int, asked: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, endpoint() as server:
        write_pictures(Path(folder, "in"), count, asked.picture_bytes)
        cost = run_child(
            "benchmarks.contenders",
            "cardbeam",
            f"{folder}/in",
            server.base_url,
            str(asked.in_flight),
            f"{folder}/out",
        )
    return {name: round(figure, 3) for name, figure in cost.items()}
