"""One night on an engine, struck twice: in the middle of the calls, and between the calls and the tables.

./run.sh bench flink --pictures=2000 --rate=100

On Flink a task manager and its worker die by `kill -9` and another is started; the job restarts from its beginning,
and what the journal holds is not called again. On a local runner the whole process dies, and the same command is
given again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.machine import most_in_a_second
from benchmarks.pictures import write_pictures
from tests.engines import install
from tests.engines.flink import FlinkCluster, kill_tree
from tests.engines.worker import worker_options
from tests.pipeline import cli
from tests.servers import Answer, CardServer, Received, success
from transforms.receipt import Receipt, read_receipt
from transforms.storage import open_folder

PICTURE_BYTES = 20_000
NAME = "ĐẶNG THỊ CẤY GIẤU"
"""On every card: nowhere but in tables, ledger and journal."""
_USED = 0.95
_LOOK_S = 0.02
_BUSIEST = 1.05
"""Permissions keep the quota in any second; on a busy machine requests may come to the endpoint closer together."""
_WITHIN_S = 600.0

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
    """Spark inside the job server that the launching process starts; its worker is a process of its own."""
    options = ["--runner=SparkRunner", f"--spark_job_server_jar={install.job_server_jar('spark')}"]
    options += ["--spark_master_url=local[2]", *worker_options(folder)]
    yield Engine("Spark", 1, options, _again)


ENGINES = {"flink": flink, "prism": prism, "fn_api": fn_api, "spark": spark}


def _again(child: Child, arguments: Sequence[str]) -> Child:
    """The launching process dies, with all that it started; the same command is given again."""
    kill_tree(child)
    child.communicate()
    return cli.start("backfill", *arguments)


class Endpoint:
    """Answers each picture with a passport, and knows which requests were under way at any time."""

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        self._lock = threading.Lock()
        self.spans: list[tuple[str, float, float]] = []
        """Picture, when its request came, when it was answered: seconds on one clock."""

    def answer(self, got: Received) -> Answer:
        time.sleep(self._latency_s)
        with self._lock:
            self.spans.append((got.key, got.at_s, time.monotonic()))
        return success(("passport", {"id": got.key[:12], "full_name": NAME, "dob": "12-03-2001"}))

    def answered(self) -> int:
        with self._lock:
            return len({key for key, _, _ in self.spans})

    def came_s(self) -> list[float]:
        return sorted(came_s for _, came_s, _ in self.spans)


@dataclass(frozen=True, slots=True)
class Night:
    """What came of it."""

    engine: str
    pictures: int
    rows: tuple[int, int]
    """Rows in the tables, and how many of them are of different pictures."""
    receipt: Receipt
    calls: int
    most_under_way: int
    """Places for calls under way, over all workers and both strikes: no more may be paid twice."""
    busiest_second: int
    used: float
    """Of the allowed rate, over the seconds in which there were workers and work."""
    pauses_s: list[float | None]
    took_s: float
    said: str
    """All that the backfill printed."""

    @property
    def paid_twice(self) -> int:
        return self.calls - self.pictures

    def report(self) -> str:
        pauses = ", ".join("no call" if pause is None else f"{pause:.1f} s to the next call" for pause in self.pauses_s)
        rate = self.receipt.rate["allowed_per_s"]
        return "\n".join(
            [
                f"{self.engine}: {self.pictures} pictures in {self.took_s:.0f} s",
                f"  receipt         {self.receipt.status}, reconciled: {self.receipt.reconciled}",
                f"  tables          {self.rows[0]} rows of {self.rows[1]} different pictures",
                f"  paid twice      {self.paid_twice} (bound {self.most_under_way}: under way at two strikes)",
                f"  after a strike  {pauses}",
                f"  busiest second  {self.busiest_second} of {rate:g} allowed",
                f"  rate used       {self.used:.3f} while there were workers and work",
            ]
        )

    def problems(self) -> list[str]:
        """What was lost, or paid for too often."""
        kept = {
            "the receipt": self.receipt.reconciled and self.receipt.status == "complete",
            "each picture once": self.rows == (self.pictures, self.pictures),
            "paid twice": 0 <= self.paid_twice <= self.most_under_way,
        }
        return [promise for promise, is_kept in kept.items() if not is_kept]

    def problems_in_time(self) -> list[str]:
        """What was too fast or too slow, which a busy machine decides too."""
        kept = {
            "the busiest second": self.busiest_second <= self.receipt.rate["allowed_per_s"] * _BUSIEST,
            "the rate used": self.used >= _USED,
        }
        return [promise for promise, is_kept in kept.items() if not is_kept]


def run_night(
    engine: Engine, folder: Path, *, pictures: int, rate: float, in_flight: int = 32, latency_s: float = 0.1
) -> Night:
    """A backfill that is struck once half of it is answered, and again when all of it is."""
    write_pictures(folder / "in", pictures, PICTURE_BYTES)
    endpoint = Endpoint(latency_s)
    started_s = time.monotonic()
    with CardServer(endpoint.answer, keeps_content=False) as server:
        arguments = [
            f"--input={folder}/in/*.jpg",
            f"--output={folder}/out",
            f"--endpoint_url={server.base_url}",
            f"--max_requests_per_second={rate:g}",
            f"--max_in_flight={in_flight}",
            *engine.options,
        ]
        child = cli.start("backfill", *arguments)
        struck_s = []
        for share in (0.5, 1.0):
            _wait_for(child, lambda share=share: endpoint.answered() >= share * pictures)
            struck_s.append(time.monotonic())
            child = engine.strike(child, arguments)
        out, err = child.communicate(timeout=_WITHIN_S)
        took_s = time.monotonic() - started_s
    if child.returncode:
        raise RuntimeError(f"backfill ended with {child.returncode}\n{out}\n{err}")
    receipt = read_receipt(open_folder(str(folder / "out")), _only_run(folder / "out"))
    assert receipt is not None
    came_s = endpoint.came_s()
    (rows,) = cli.query(folder / "out", "SELECT count(*), count(DISTINCT item_id) FROM passport")
    return Night(
        engine.name,
        pictures,
        rows,  # type: ignore[arg-type]  # two counts
        receipt,
        len(came_s),
        in_flight * engine.workers * len(struck_s),
        most_in_a_second(came_s),
        _used(came_s, struck_s, rate),
        [silence and silence[1] - silence[0] for silence in (_silence(came_s, at_s) for at_s in struck_s)],
        took_s,
        out + err,
    )


def _wait_for(child: Child, is_there: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _WITHIN_S
    while not is_there():
        if child.poll() is not None or time.monotonic() > deadline_s:
            out, err = child.communicate() if child.poll() is not None else ("", "")
            raise RuntimeError(f"the backfill went no further: {child.returncode}\n{out}\n{err}")
        time.sleep(_LOOK_S)


def _only_run(output: Path) -> str:
    (run,) = (path.parent.name for path in output.glob("runs/*/run.json"))
    return run


def _silence(came_s: list[float], at_s: float) -> tuple[float, float] | None:
    """The longest silence that began within ten seconds after a strike; a survivor may call on for a while."""
    later = [one for one in came_s if one > at_s]
    silences = [(before, after) for before, after in pairwise([at_s, *later]) if before - at_s < 10]
    return max(silences, key=lambda silence: silence[1] - silence[0], default=None)


def _used(came_s: list[float], struck_s: list[float], rate: float) -> float:
    """Calls over what was allowed: from the first to the first strike, and from its silence to the second strike."""
    silence = _silence(came_s, struck_s[0])
    again_s = silence[1] if silence else struck_s[0]
    spans = [
        [one for one in came_s if one <= struck_s[0]],
        [one for one in came_s if again_s <= one <= struck_s[1]],
    ]
    return sum(len(span) - 1 for span in spans) / sum(span[-1] - span[0] for span in spans) / rate


def main(arguments: Sequence[str]) -> int:
    """One night; 0 where all that is promised was kept."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--engine", choices=sorted(ENGINES), default="flink")
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--in_flight", type=int, default=32, help="as --max_in_flight, for each worker")
    parser.add_argument("--latency_s", type=float, default=0.1)
    parser.add_argument("--folder", default="", help="keep all there; default a temporary folder")
    asked = parser.parse_args(list(arguments))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(asked.folder or scratch)
        with ENGINES[asked.engine](folder / "engine") as engine:
            night = run_night(
                engine,
                folder,
                pictures=asked.pictures,
                rate=asked.rate,
                in_flight=asked.in_flight,
                latency_s=asked.latency_s,
            )
    print(night.report())
    if problems := [*night.problems(), *night.problems_in_time()]:
        print("not kept: " + ", ".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
