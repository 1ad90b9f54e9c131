"""`bench memory`: peak memory of one worker, as the number of images grows a hundredfold."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.images import write_images
from benchmarks.machine import endpoint, run_child


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Peak memory and rate for each number of images, the largest peak over the smallest, and what an image adds."""
    parser = argparse.ArgumentParser(prog="run.sh bench memory", description=__doc__)
    parser.add_argument("--images", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--image_bytes", type=int, default=4_000)
    parser.add_argument("--in_flight", type=int, default=16)
    asked = parser.parse_args(arguments)
    found = {count: _measure(count, asked) for count in sorted(asked.images)}
    peaks_mb = [figures["peak_mb"] for figures in found.values()]
    return {
        **{str(count): figures for count, figures in found.items()},
        "most_over_least": round(max(peaks_mb) / min(peaks_mb), 3),
        "bytes_per_image": _slope(*list(found)[-2:], *peaks_mb[-2:]) if len(found) > 1 else None,
    }


def _slope(fewer: int, more: int, fewer_mb: float, more_mb: float) -> int:
    """Of the two largest: what is there once is in both."""
    return round((more_mb - fewer_mb) * 1e6 / (more - fewer))


def _measure(count: int, asked: argparse.Namespace) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, endpoint() as server:
        write_images(Path(folder, "in"), count, asked.image_bytes)
        cost = run_child(
            "benchmarks.contenders",
            "cardbeam",
            f"{folder}/in",
            server.base_url,
            str(asked.in_flight),
            f"{folder}/out",
        )
    return {name: round(figure, 3) for name, figure in cost.items()}
