"""The engines of a run: what a run on each is told, and how it is struck by a `kill -9`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.engines import install
from tests.engines.flink import FlinkCluster
from tests.engines.processes import kill_tree
from tests.engines.worker import worker_options
from tests.pipeline import cli

Child = subprocess.Popen[str]
Strike = Callable[[Child, Sequence[str]], Child]


@dataclass(frozen=True, slots=True)
class Engine:
    """What is particular to a runner: the options of a run, and how it is struck."""

    name: str
    workers: int
    options: Sequence[str]
    strike: Strike
    """Kills what calls; gives back the process that goes on with the run."""


@contextmanager
def flink(folder: Path) -> Iterator[Engine]:
    """A cluster of two task managers. One dies with its worker; the job goes on when there is another."""
    with FlinkCluster(folder, cli.ENVIRONMENT) as cluster:
        yield of_cluster(cluster)


def of_cluster(cluster: FlinkCluster) -> Engine:
    """What a run on a cluster is told."""

    def strike(child: Child, _: Sequence[str]) -> Child:
        cluster.kill_task_manager(0)
        cluster.start_task_manager()
        return child

    return Engine("Flink", len(cluster.task_managers), cluster.options(), strike)


@contextmanager
def prism(folder: Path) -> Iterator[Engine]:
    """Beam's portable local runner, whose workers are threads of the launching process."""
    del folder
    yield Engine("Prism", 1, ["--runner=PrismRunner", f"--prism_location={install.prism()}"], _again)


@contextmanager
def fn_api(folder: Path) -> Iterator[Engine]:
    """The runner inside the launching process."""
    del folder
    yield Engine("FnApiRunner", 1, ["--runner=FnApiRunner", "--direct_running_mode=in_memory"], _again)


@contextmanager
def spark(folder: Path) -> Iterator[Engine]:
    """Spark inside the job server that the launching process starts; its worker is a process of its own.

    It starts with the job server's environment, which holds no credentials: they come from a file."""
    folder.mkdir(parents=True, exist_ok=True)
    credentials = folder / "credentials.json"
    credentials.touch(0o600)
    credentials.write_text(json.dumps({"api_key": "key", "api_secret": "secret"}))
    options = ["--runner=SparkRunner", f"--spark_job_server_jar={install.job_server_jar('spark')}"]
    options += ["--spark_master_url=local[2]", f"--credentials_uri={credentials}", *worker_options(folder)]
    yield Engine("Spark", 1, options, _again)


ENGINES = {"flink": flink, "prism": prism, "fn_api": fn_api, "spark": spark}


def _again(child: Child, arguments: Sequence[str]) -> Child:
    """The launching process dies, with all that it started; the same command is given again."""
    kill_tree(child)
    child.communicate()
    return cli.start("backfill", *arguments)
