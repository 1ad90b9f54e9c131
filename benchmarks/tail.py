"""`bench tail`: how long calls go on after the last one started, over the slowest call.

Every 20th call of the endpoint takes four times the others', so a run that waits for a batch, or
holds its last image back, shows.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet as pq

from benchmarks.images import write_images
from benchmarks.machine import endpoint, run_child


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """The median tail of some runs."""
    parser = argparse.ArgumentParser(prog="run.sh bench tail", description=__doc__)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--latency_s", type=float, default=0.5)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args(arguments)
    runs = [_measure(asked.images, asked.latency_s) for _ in range(asked.runs)]
    return {name: round(median(run[name] for run in runs), 3) for name in runs[0]}


def _measure(images: int, latency_s: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, endpoint(latency_s, slow_every=20) as server:
        write_images(Path(folder, "in"), images, 20_000)
        run_child("benchmarks.contenders", "cardbeam", f"{folder}/in", server.base_url, "32", f"{folder}/out")
        ledger = pq.read_table(f"{folder}/out/ledger", columns=["completed_at", "latency_s"]).to_pylist()
    ended_s = [row["completed_at"].timestamp() for row in ledger]
    started_s = [end_s - row["latency_s"] for end_s, row in zip(ended_s, ledger, strict=True)]
    slowest_s = max(row["latency_s"] for row in ledger)
    tail_s = max(ended_s) - max(started_s)
    return {"tail_s": tail_s, "slowest_call_s": slowest_s, "tail_over_slowest": tail_s / slowest_s}
