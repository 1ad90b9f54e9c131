"""`bench cluster`: a backfill on a Flink cluster of processes, as pictures and workers grow in number.

Figures that must not grow with the pictures: memory of a worker (in all, until the last call and until the first one),
of a task manager, of the launching process. Figures of the model in docs/scale.md: bytes through shuffles for each
picture, files written, bytes of the graph; and calls a second beside what the model says of them.

Where times count, let nothing else run: cluster, workers and endpoint share the cores of this machine.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import apache_beam as beam
import psutil

from benchmarks.machine import CREDENTIALS, endpoint
from benchmarks.pictures import write_pictures
from benchmarks.processes import run_backfill
from pipeline import graph
from pipeline.options import parse_run
from tests.engines.flink import FlinkCluster


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """One set of figures for each number of pictures and of workers."""
    parser = argparse.ArgumentParser(prog="run.sh bench cluster", description=__doc__)
    parser.add_argument("--pictures", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--workers", type=int, nargs="*", default=[2])
    parser.add_argument("--picture_bytes", type=int, default=2_000)
    parser.add_argument("--latency_s", type=float, default=0.0)
    parser.add_argument("--rate", type=float, default=0.0, help="as --max_requests_per_second")
    parser.add_argument("--in_flight", type=int, default=16, help="of each worker")
    parser.add_argument("--stands_ready", action="store_true", help="job server and code are there before the run")
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the cluster goes with it
    return {
        f"{pictures} pictures, {workers} workers": _measure(pictures, workers, asked)
        for workers in asked.workers
        for pictures in asked.pictures
    }


def _measure(pictures: int, workers: int, asked: argparse.Namespace) -> dict[str, float]:
    environment = {**os.environ, **CREDENTIALS}
    workers_mb: list[tuple[float, float]] = []
    took: list[tuple[float, float, float]] = []
    manager_mb = 0.0
    ready = asked.stands_ready
    with (
        tempfile.TemporaryDirectory() as scratch,
        endpoint(asked.latency_s) as server,
        FlinkCluster(Path(scratch, "flink"), environment, task_managers=workers, stands_ready=ready) as cluster,
    ):
        write_pictures(Path(scratch, "in"), pictures, asked.picture_bytes)
        cpu_s: dict[int, float] = {}

        def look() -> None:
            nonlocal manager_mb
            for process in cluster.workers():
                workers_mb.append((time.monotonic(), _held_mb(process)))
                cpu_s[process.pid] = _cpu_s(process)
            all_cpu_s = sum(_cpu_s(process) for process in psutil.Process().children(recursive=True))
            took.append((time.monotonic(), sum(cpu_s.values()), all_cpu_s))
            for manager in cluster.task_managers:
                manager_mb = max(manager_mb, _held_mb(psutil.Process(manager.child.pid)))

        options = [f"--input={scratch}/in/*.jpg", f"--output={scratch}/out", f"--max_in_flight={asked.in_flight}"]
        options += [f"--max_requests_per_second={asked.rate:g}", *cluster.options()]
        ran = run_backfill(server, options, look)
        job = cluster.jobs()[0]
        files = [path for path in Path(scratch, "out").rglob("*.parquet") if path.is_file()]
        first_s, last_s = ran.came_s[0], ran.came_s[-1]
        calls_per_s = (len(ran.came_s) - 1) / (last_s - first_s)
        in_calls = [one for one in took if first_s <= one[0] <= last_s] or took[-1:]
        worker_cpu_s, all_cpu_s = (
            (in_calls[-1][which] - in_calls[0][which]) / max(0.1, in_calls[-1][0] - in_calls[0][0]) / calls_per_s
            for which in (1, 2)
        )
        model = _model(asked, workers, worker_cpu_s, all_cpu_s)
        return {
            "start_s": round(first_s - ran.started_s, 1),
            "calls_per_s": round(calls_per_s, 1),
            **{f"model_{term}": round(per_s, 1) for term, per_s in model.items()},
            "calls_by_the_model": round(calls_per_s / min(model.values()), 3),
            "worker_cpu_ms_a_call": round(worker_cpu_s * 1000, 2),
            "all_cpu_ms_a_call": round(all_cpu_s * 1000, 2),
            "publish_s": round(ran.ended_s - ran.came_s[-1], 1),
            "calls_a_picture": len(ran.came_s) / pictures,
            "worker_mb": round(max(held_mb for _, held_mb in workers_mb)),
            "worker_mb_in_calls": round(max(held_mb for at_s, held_mb in workers_mb if at_s < ran.came_s[-1])),
            "worker_mb_before_calls": round(max(held_mb for at_s, held_mb in workers_mb if at_s < ran.came_s[0])),
            "task_manager_mb": round(manager_mb),
            "worker_cpu_ms_a_picture": round(sum(cpu_s.values()) / pictures * 1000, 2),
            "job_server_and_launcher_mb": round(ran.peak_mb),
            "graph_bytes": _graph_bytes(options),
            "stages": len(job["vertices"]),
            "shuffled_bytes_a_picture": round(sum(one["metrics"]["write-bytes"] for one in job["vertices"]) / pictures),
            "files": len(files),
            "table_bytes_a_picture": round(sum(path.stat().st_size for path in files) / pictures),
        }


def _model(asked: argparse.Namespace, workers: int, worker_cpu_s: float, all_cpu_s: float) -> dict[str, float]:
    """Calls a second that each term of docs/scale.md allows; the least is what is to be expected."""
    terms = {
        "by_workers_cpu": workers / worker_cpu_s,
        "by_all_cpu": (os.cpu_count() or 1) / all_cpu_s,
        "by_rate": asked.rate,
        "by_latency": workers * asked.in_flight / asked.latency_s if asked.latency_s else 0.0,
    }
    return {term: per_s for term, per_s in terms.items() if per_s}


def _graph_bytes(options: Sequence[str]) -> int:
    """What a runner gets of a backfill with these options."""
    settings, _ = parse_run("backfill", "", options)
    pipeline = beam.Pipeline(runner="FnApiRunner")  # it is not run here
    graph.backfill(pipeline, settings, datetime.now(timezone.utc))
    return int(pipeline.to_runner_api().ByteSize())


def _held_mb(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss / 1e6)
    except psutil.NoSuchProcess:
        return 0.0


def _cpu_s(process: psutil.Process) -> float:
    try:
        return float(sum(process.cpu_times()[:2]))
    except psutil.NoSuchProcess:
        return 0.0
