"""`bench cluster`: a backfill on a Flink cluster of processes, as images and workers grow in number.

Figures that must not grow with the images: memory of a worker (in all, until the last call and until the first one),
of a task manager, of the launching process. Figures of the model in benchmarks/results/cluster.md: bytes through
shuffles for each image, files written, bytes of the graph; and calls a second beside what the model says of them.

Where times count, let nothing else run: cluster, workers and endpoint share the cores of this machine.
"""

from __future__ import annotations

import argparse
import math
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

from benchmarks.images import write_images
from benchmarks.machine import CREDENTIALS, endpoint
from benchmarks.processes import Ran, run_backfill
from pipeline import graph
from pipeline.cli.options import parse_run
from tests.engines.flink import FlinkCluster


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """One set of figures for each number of images and of workers."""
    parser = argparse.ArgumentParser(prog="run.sh bench cluster", description=__doc__)
    parser.add_argument("--images", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--workers", type=int, nargs="*", default=[2])
    parser.add_argument("--image_bytes", type=int, default=2_000)
    parser.add_argument("--latency_s", type=float, default=0.0)
    parser.add_argument("--rate", type=float, default=0.0, help="as --max_requests_per_second")
    parser.add_argument("--in_flight", type=int, default=16, help="of each worker")
    parser.add_argument("--stands_ready", action="store_true", help="job server and code are there before the run")
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the cluster goes with it
    return {
        f"{images} images, {workers} workers": _measure(images, workers, asked)
        for workers in asked.workers
        for images in asked.images
    }


class _Sampler:
    """What the processes of a run were seen to hold and to have taken, at each look."""

    def __init__(self, cluster: FlinkCluster) -> None:
        self._cluster = cluster
        self._worker_cpu_s: dict[int, float] = {}
        self._workers_mb: list[tuple[float, float]] = []
        self._taken: list[tuple[float, float, float, float]] = []
        self.manager_mb = 0.0

    def sample(self) -> None:
        """Once more."""
        now_s = time.monotonic()
        for process in self._cluster.workers():
            self._workers_mb.append((now_s, _held_mb(process)))
            self._worker_cpu_s[process.pid] = _cpu_s(process)
        everything_s = sum(_cpu_s(process) for process in psutil.Process().children(recursive=True))
        self._taken.append((now_s, self.workers_cpu_s, everything_s, psutil.cpu_times().idle))
        managers = [psutil.Process(manager.child.pid) for manager in self._cluster.task_managers]
        self.manager_mb = max([self.manager_mb, *map(_held_mb, managers)])

    @property
    def workers_cpu_s(self) -> float:
        """Of all workers, from their start."""
        return sum(self._worker_cpu_s.values())

    def worker_mb(self, until_s: float = math.inf) -> int:
        """The most that one worker held."""
        return round(max(held_mb for at_s, held_mb in self._workers_mb if at_s < until_s))

    def cores(self, first_s: float, last_s: float) -> tuple[float, float, float]:
        """Cores between two moments: what all workers took, what all that belongs to the run took, what was idle."""
        before = max((one for one in self._taken if one[0] <= first_s), default=self._taken[0])
        after = min((one for one in self._taken if one[0] >= last_s), default=self._taken[-1])
        workers, everything, idle = (
            (end - start) / (after[0] - before[0]) for start, end in zip(before[1:], after[1:], strict=True)
        )
        return workers, everything, idle


def _measure(images: int, workers: int, asked: argparse.Namespace) -> dict[str, float]:
    environment, ready = {**os.environ, **CREDENTIALS}, asked.stands_ready
    with (
        tempfile.TemporaryDirectory() as scratch,
        endpoint(asked.latency_s) as server,
        FlinkCluster(Path(scratch, "flink"), environment, task_managers=workers, stands_ready=ready) as cluster,
    ):
        write_images(Path(scratch, "in"), images, asked.image_bytes)
        options = [f"--input={scratch}/in/*.jpg", f"--output={scratch}/out", f"--max_in_flight={asked.in_flight}"]
        options += [f"--max_requests_per_second={asked.rate:g}", *cluster.options()]
        sampler = _Sampler(cluster)
        ran = run_backfill(server, options, sampler.sample)
        stages = cluster.jobs()[0]["vertices"]
        files = [path for path in Path(scratch, "out").rglob("*.parquet") if path.is_file()]
        first_s, last_s = ran.came_s[0], ran.came_s[-1]
        return {
            "start_s": round(first_s - ran.started_s, 1),
            "publish_s": round(ran.ended_s - last_s, 1),
            **_beside_the_model(asked, workers, ran, sampler),
            "calls_an_image": len(ran.came_s) / images,
            "worker_mb": sampler.worker_mb(),
            "worker_mb_in_calls": sampler.worker_mb(last_s),
            "worker_mb_before_calls": sampler.worker_mb(first_s),
            "task_manager_mb": round(sampler.manager_mb),
            "worker_cpu_ms_an_image": round(sampler.workers_cpu_s / images * 1000, 2),
            "launcher_mb": round(ran.peak_mb),
            "graph_bytes": _graph_bytes(options),
            "stages": len(stages),
            "shuffled_bytes_an_image": round(sum(one["metrics"]["write-bytes"] for one in stages) / images),
            "files": len(files),
            "table_bytes_an_image": round(sum(path.stat().st_size for path in files) / images),
        }


def _beside_the_model(asked: argparse.Namespace, workers: int, ran: Ran, sampler: _Sampler) -> dict[str, float]:
    """Calls a second as they were and as each term of the model allows; the least is what is to be expected.

    In the middle half of the calls all workers are at it; before, one begins seconds after another.
    """
    first_s, last_s = ran.came_s[0], ran.came_s[-1]
    calls_per_s = (len(ran.came_s) - 1) / (last_s - first_s)
    quarter = len(ran.came_s) // 4
    amid_per_s = 2 * quarter / (ran.came_s[3 * quarter] - ran.came_s[quarter])
    of_workers, of_all, idle = sampler.cores(first_s, last_s)
    worker_cpu_s, all_cpu_s = of_workers / calls_per_s, of_all / calls_per_s
    terms = {
        "rate": asked.rate,
        "latency": workers * asked.in_flight / asked.latency_s if asked.latency_s else 0.0,
        "cpu_of_workers": workers / worker_cpu_s,
        "cpu_of_all": (os.cpu_count() or 1) / all_cpu_s,
    }
    allowed = {term: per_s for term, per_s in terms.items() if per_s}
    return {
        "calls_per_s": round(calls_per_s, 1),
        "calls_per_s_in_the_middle": round(amid_per_s, 1),
        **{f"model_by_{term}": round(per_s, 1) for term, per_s in allowed.items()},
        "middle_by_the_model": round(amid_per_s / min(allowed.values()), 3),
        "worker_cpu_ms_a_call": round(worker_cpu_s * 1000, 2),
        "all_cpu_ms_a_call": round(all_cpu_s * 1000, 2),
        "cores_taken": round(of_all, 2),
        "cores_idle": round(idle, 2),
    }


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
