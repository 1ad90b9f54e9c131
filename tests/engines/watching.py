"""Watch a folder into which pictures are dropped, through an orderly restart and a `kill -9`; print when rows came.

python -m tests.engines.watching --runner=prism
python -m tests.engines.watching --runner=flink
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pyarrow.parquet as pq

from pipeline.runs import ended_runs
from tests.engines import install
from tests.engines.flink import FlinkCluster
from tests.pipeline import cli
from tests.pipeline.killing import answer, draw_pictures
from tests.servers import Answer, CardServer, Received
from transforms.receipt import Receipt, read_receipt
from transforms.storage import Folder, LocalFolder

TABLE = "documents/type=passport"
_LATENCY_S = 0.3
_LOOK_S = 0.25
_ALL_WITHIN_S = 240.0


@dataclass(frozen=True, slots=True)
class Watched:
    """What came of it; times in seconds."""

    pictures: int
    rows: int
    different: int
    calls: int
    in_flight_at_kill: int
    waits_s: tuple[float, ...]
    """From a picture's drop to its row."""
    largest_files: int
    """Files of the table at the most, while it was watched."""
    last_files: int
    starts_s: tuple[float, ...]
    """From each command to its first call."""
    exits: tuple[int, ...]
    receipts: tuple[Receipt, ...]

    @property
    def paid_twice(self) -> int:
        """Calls beyond one for each picture."""
        return self.calls - self.pictures


@dataclass
class Seen:
    """When the row of each picture was first in a table, as a reader of the receipts sees it."""

    folder: Folder
    at_s: dict[str, float] = field(default_factory=dict)
    largest_files: int = 0
    _read: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Read the files that are new in the receipts."""
        receipts = [read_receipt(self.folder, run_id) for run_id in ended_runs(self.folder)]
        paths = [file["path"] for one in receipts if one for file in one.files if file["path"].startswith(TABLE)]
        self.largest_files = max(self.largest_files, len(paths))
        for path in set(paths) - self._read:
            with suppress(FileNotFoundError), self.folder.open(path) as file:
                rows = pq.ParquetFile(file).read(["uris"]).to_pylist()
                self._read.add(path)
                for row in rows:
                    self.at_s.setdefault(Path(row["uris"][0]).name, time.monotonic())


def watch(
    scratch: Path, options: Sequence[str], *, pictures: int, over_s: float, restarts: Sequence[tuple[float, int]]
) -> Watched:
    """Drop pictures over some time; end the watch with a signal at each part of it, and begin it again at once.

    The first picture is there before the watch begins, and the others come once its row is there. A watch is
    ended only when it has called, so that the signal meets calls under way.
    """
    source, inputs, output = scratch / "drawn", scratch / "in", scratch / "out"
    draw_pictures(source, pictures)
    inputs.mkdir()
    first, *others = sorted(source.iterdir())
    seen = Seen(LocalFolder(str(output)))
    got_at_s: list[float] = []

    def counted(got: Received) -> Answer:
        got_at_s.append(time.monotonic())
        return answer(got, _LATENCY_S)

    with CardServer(counted, keeps_content=False) as server, _beside_again(seen.look), ExitStack() as started:
        given = [f"--input={inputs}", f"--output={output}", f"--endpoint_url={server.base_url}", *options]
        exits: list[int] = []
        starts_s: list[float] = []
        in_flight = 0
        dropped: dict[str, float] = {}

        def start() -> subprocess.Popen[bytes]:
            """Begin the watch; back at its first call."""
            called, began_s = len(got_at_s), time.monotonic()
            child = started.enter_context(_start(given))
            _wait(lambda: len(got_at_s) > called, began_s + _ALL_WITHIN_S)
            starts_s.append(time.monotonic() - began_s)
            return child

        _drop([first], inputs, 0.0, dropped)
        child = start()
        _wait(lambda: bool(seen.at_s), time.monotonic() + _ALL_WITHIN_S)
        with _beside(lambda: _drop(others, inputs, over_s, dropped)):
            began_s = time.monotonic()
            for part, number in restarts:
                _sleep_until(began_s + part * over_s)
                if number == signal.SIGKILL:
                    now_s = time.monotonic()
                    in_flight = sum(now_s - at_s < _LATENCY_S + 0.1 for at_s in got_at_s)
                exits.append(_end(child, number))
                child = start()
            _wait(lambda: len(seen.at_s) == pictures, max(time.monotonic(), began_s + over_s) + _ALL_WITHIN_S)
            exits.append(_end(child, signal.SIGTERM))
        calls = sum(server.calls.values())
    folder = LocalFolder(str(output))
    receipts = [receipt for run_id in ended_runs(folder) if (receipt := read_receipt(folder, run_id))]
    ((rows, different),) = cli.query(output, "SELECT count(*), count(DISTINCT item_id) FROM passport")
    return Watched(
        pictures,
        int(str(rows)),
        int(str(different)),
        calls,
        in_flight,
        tuple(seen.at_s[name] - at_s for name, at_s in dropped.items() if name in seen.at_s),
        seen.largest_files,
        sum(file["path"].startswith(TABLE) and file["rows"] > 0 for one in receipts for file in one.files),
        tuple(starts_s),
        tuple(exits),
        tuple(receipts),
    )


def _drop(pictures: Sequence[Path], folder: Path, over_s: float, dropped: dict[str, float]) -> None:
    began_s = time.monotonic()
    for number, picture in enumerate(pictures):
        _sleep_until(began_s + over_s * number / len(pictures))
        shutil.copyfile(picture, folder / picture.name)
        dropped[picture.name] = time.monotonic()


@contextmanager
def _start(given: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A watch, killed at the end of the block if it still runs."""
    command = [sys.executable, "-m", "pipeline", "watch", *given]
    child = subprocess.Popen(command, cwd=cli.ROOT, env=cli.ENVIRONMENT, stdout=sys.stderr, start_new_session=True)
    try:
        yield child
    finally:
        if child.poll() is None:
            _end(child, signal.SIGKILL)


def _end(child: subprocess.Popen[bytes], number: int) -> int:
    """Send the signal: a kill to all that it started on this machine, any other to it alone. The exit status."""
    if number == signal.SIGKILL:
        os.killpg(child.pid, number)
    else:
        child.send_signal(number)
    return child.wait(timeout=120)


def _sleep_until(at_s: float) -> None:
    time.sleep(max(0.0, at_s - time.monotonic()))


def _wait(is_there: Callable[[], bool], until_s: float) -> None:
    while not is_there() and time.monotonic() < until_s:
        time.sleep(_LOOK_S)


@contextmanager
def _beside(work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    thread.join()


@contextmanager
def _beside_again(look: Callable[[], None]) -> Iterator[None]:
    over = threading.Event()

    def looks() -> None:
        while not over.wait(_LOOK_S):
            look()

    with _beside(looks):
        try:
            yield
        finally:
            over.set()


@contextmanager
def on_prism(folder: Path) -> Iterator[list[str]]:
    """The options of a watch on Prism."""
    del folder
    yield [f"--prism_location={install.prism()}"]


@contextmanager
def on_flink(folder: Path) -> Iterator[list[str]]:
    """The options of a watch on a Flink cluster of two task managers."""
    with FlinkCluster(folder, cli.ENVIRONMENT, task_managers=2) as flink:
        yield flink.options()


RUNNERS = {"prism": on_prism, "flink": on_flink}


def say(watched: Watched) -> Iterator[str]:
    """What came of it, in words."""
    waits_s = sorted(watched.waits_s)
    yield f"pictures {watched.pictures}: rows {watched.rows}, different {watched.different}, exits {watched.exits}"
    yield f"calls {watched.calls}, paid twice {watched.paid_twice}, in flight at the kill {watched.in_flight_at_kill}"
    yield (
        f"from drop to table: median {median(waits_s):.1f} s, 95th of 100 {waits_s[len(waits_s) * 95 // 100]:.1f} s, "
        f"worst {waits_s[-1]:.1f} s"
    )
    yield f"from command to first call: {', '.join(f'{start_s:.1f} s' for start_s in watched.starts_s)}"
    yield f"files of the table: at most {watched.largest_files}, {watched.last_files} at the end"
    for receipt in watched.receipts:
        yield f"run {receipt.run_id}: {receipt.status}, reconciled {receipt.reconciled}, {receipt.requests}"


def main(arguments: Sequence[str]) -> int:
    """500 pictures over a minute, an orderly restart after a third, a kill after two thirds."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--runner", choices=tuple(RUNNERS), default="prism")
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--over_s", type=float, default=60.0)
    parser.add_argument("--no_restarts", action="store_true")
    asked, options = parser.parse_known_args(list(arguments))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the cluster goes with it
    restarts = [] if asked.no_restarts else [(1 / 3, signal.SIGTERM), (2 / 3, signal.SIGKILL)]
    with tempfile.TemporaryDirectory() as scratch, RUNNERS[asked.runner](Path(scratch, "engine")) as engine:
        given = [*engine, "--max_requests_per_second=50", *options]
        watched = watch(Path(scratch), given, pictures=asked.pictures, over_s=asked.over_s, restarts=restarts)
    print("\n".join(say(watched)))
    is_whole = watched.rows == watched.different == watched.pictures == len(watched.waits_s)
    return 0 if is_whole and watched.paid_twice <= watched.in_flight_at_kill else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
