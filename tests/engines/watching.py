"""Watch a folder into which images are dropped, through restarts and a `kill -9`; print when rows came.

python -m tests.engines.watching --runner=prism --restarts SIGTERM SIGKILL
python -m tests.engines.watching --runner=flink --restarts SIGTERM
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from cardbeam.run_state.liveness.heartbeat import read_watch_heartbeat
from cardbeam.run_state.receipt import Receipt, read_receipt
from cardbeam.storage.folder import LocalFolder
from pipeline.runs.registry import ended_runs
from tests.engines import install
from tests.engines.dropping import LOOK_S, TABLE, Seen, beside, beside_again, drop, sleep_until
from tests.engines.flink import FlinkCluster
from tests.pipeline import cli
from tests.pipeline.killing import answer, draw_images
from tests.servers import Answer, CardServer
from tests.wire import Received

_LATENCY_S = 0.3
_ALL_WITHIN_S = 240.0
_SIGNALS = {name: signal.Signals[name] for name in ("SIGTERM", "SIGKILL")}


@dataclass(frozen=True, slots=True)
class Watched:
    """What came of it; times in seconds."""

    images: int
    rows: int
    different: int
    calls: int
    in_flight_at_kill: int
    waits_s: tuple[float, ...]
    """From an image's drop to its row."""
    waits_up_s: tuple[float, ...]
    """The same without the time in which no watch was there: from the signal to the next one's first call."""
    largest_files: int
    """Files of the table at the most, while it was watched."""
    last_files: int
    starts_s: tuple[float, ...]
    """From each command to its first call."""
    ends_s: tuple[float, ...]
    """From each signal in the middle to the end of the process."""
    exits: tuple[int, ...]
    receipts: tuple[Receipt, ...]

    @property
    def paid_twice(self) -> int:
        """Calls beyond one for each image."""
        return self.calls - self.images


def watch(
    scratch: Path, options: Sequence[str], *, images: int, over_s: float, restarts: Sequence[tuple[float, int]]
) -> Watched:
    """Drop images over some time; end the watch with a signal at each part of it, and begin it again at once.

    The first image is there before the watch begins, and the others come once its row is there. A watch is
    ended only when it has called, so that the signal meets calls in progress.
    """
    source, inputs, output = scratch / "drawn", scratch / "in", scratch / "out"
    draw_images(source, images)
    inputs.mkdir()
    first, *others = sorted(source.iterdir())
    seen = Seen(LocalFolder(str(output)))
    got_at_s: list[float] = []

    def counted(got: Received) -> Answer:
        got_at_s.append(time.monotonic())
        return answer(got, _LATENCY_S)

    with CardServer(counted, keeps_content=False) as server, beside_again(seen.poll), ExitStack() as started:
        given = [f"--input={inputs}", f"--output={output}", f"--endpoint_url={server.base_url}", *options]
        exits: list[int] = []
        starts_s: list[float] = []
        ends_s: list[float] = []
        down: list[tuple[float, float]] = []
        in_flight = 0
        dropped: dict[str, float] = {}

        def start() -> subprocess.Popen[bytes]:
            """Begin the watch; back at its first call."""
            before, began_s = _session(output), time.monotonic()
            child = started.enter_context(_start(given))
            _wait(child, lambda: _session(output) != before)  # from here on no call is an earlier launch's
            called = len(got_at_s)
            _wait(child, lambda: len(got_at_s) > called)
            starts_s.append(time.monotonic() - began_s)
            return child

        drop([first], inputs, 0.0, dropped)
        child = start()
        down.append((dropped[first.name], time.monotonic()))
        _wait(child, lambda: bool(seen.at_s))
        with beside(lambda: drop(others, inputs, over_s, dropped)):
            began_s = time.monotonic()
            for part, number in restarts:
                sleep_until(began_s + part * over_s)
                down_from_s = time.monotonic()
                if number == signal.SIGKILL:
                    in_flight = sum(down_from_s - at_s < _LATENCY_S + 0.1 for at_s in got_at_s)
                exits.append(_end(child, number))
                ends_s.append(time.monotonic() - down_from_s)
                child = start()
                down.append((down_from_s, time.monotonic()))
            _wait(child, lambda: len(seen.at_s) == images)
            exits.append(_end(child, signal.SIGTERM))
        calls = sum(server.calls.values())
    folder = LocalFolder(str(output))
    receipts = [receipt for run_id in ended_runs(folder) if (receipt := read_receipt(folder, run_id))]
    ((rows, different),) = cli.query(output, "SELECT count(*), count(DISTINCT item_id) FROM passport")
    return Watched(
        images,
        int(str(rows)),
        int(str(different)),
        calls,
        in_flight,
        tuple(seen.at_s[name] - at_s for name, at_s in dropped.items() if name in seen.at_s),
        tuple(_up_s(at_s, seen.at_s[name], down) for name, at_s in dropped.items() if name in seen.at_s),
        seen.largest_files,
        sum(file["path"].startswith(TABLE) and file["rows"] > 0 for one in receipts for file in one.files),
        tuple(starts_s),
        tuple(ends_s),
        tuple(exits),
        tuple(receipts),
    )


def _up_s(from_s: float, to_s: float, down: Sequence[tuple[float, float]]) -> float:
    """How much of some time is in no span of `down`."""
    return to_s - from_s - sum(max(0.0, min(end_s, to_s) - max(start_s, from_s)) for start_s, end_s in down)


def _session(output: Path) -> str:
    """The launch that the graph listens to; nothing before there is one."""
    message = [
        read_watch_heartbeat(LocalFolder(str(output)), path.parent.name)
        for path in output.glob("runs/*/heartbeat.json")
    ]
    newest = max(filter(None, message), key=lambda one: (one.at_s, one.number), default=None)
    return newest.session if newest else ""


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


def _wait(child: subprocess.Popen[bytes], is_there: Callable[[], bool]) -> None:
    until_s = time.monotonic() + _ALL_WITHIN_S
    while not is_there() and time.monotonic() < until_s:
        if child.poll() is not None:
            raise RuntimeError(f"the watch ended with {child.returncode}")
        time.sleep(LOOK_S)


@contextmanager
def on_prism(folder: Path) -> Iterator[list[str]]:
    """The options of a watch on Prism."""
    del folder
    yield [f"--prism_location={install.prism()}"]


@contextmanager
def on_flink(folder: Path) -> Iterator[list[str]]:
    """The options of a watch on a Flink cluster of two task managers that stands ready."""
    with FlinkCluster(folder, cli.ENVIRONMENT, stands_ready=True) as flink:
        yield flink.options()


@contextmanager
def on_bare_flink(folder: Path) -> Iterator[list[str]]:
    """The same where each launch starts Beam's job server, and each worker installs our code."""
    with FlinkCluster(folder, cli.ENVIRONMENT) as flink:
        yield flink.options()


RUNNERS = {"prism": on_prism, "flink": on_flink, "bare_flink": on_bare_flink}


def say(watched: Watched) -> Iterator[str]:
    """What came of it, in words."""
    yield f"images {watched.images}: rows {watched.rows}, different {watched.different}, exits {watched.exits}"
    yield f"calls {watched.calls}, paid twice {watched.paid_twice}, in flight at the kill {watched.in_flight_at_kill}"
    yield f"from drop to table: {_spread(watched.waits_s)}"
    if watched.ends_s:
        yield f"the same without the time in which no watch was there: {_spread(watched.waits_up_s)}"
        yield f"from signal to end: {', '.join(f'{end_s:.1f} s' for end_s in watched.ends_s)}"
    yield f"from command to first call: {', '.join(f'{start_s:.1f} s' for start_s in watched.starts_s)}"
    yield f"files of the table: at most {watched.largest_files}, {watched.last_files} at the end"
    for receipt in watched.receipts:
        yield f"run {receipt.run_id}: {receipt.status}, reconciled {receipt.reconciled}, {receipt.requests}"


def _spread(waits_s: Sequence[float]) -> str:
    ordered = sorted(waits_s)
    nearly_all = ordered[len(ordered) * 95 // 100]
    return f"median {median(ordered):.1f} s, 95th of 100 {nearly_all:.1f} s, worst {ordered[-1]:.1f} s"


def main(arguments: Sequence[str]) -> int:
    """500 images over a minute; restarts in the middle, orderly or by a kill."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--runner", choices=tuple(RUNNERS), default="prism")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--over_s", type=float, default=60.0)
    parser.add_argument(
        "--restarts", nargs="*", choices=tuple(_SIGNALS), default=["SIGTERM"], help="at equal distances"
    )
    asked, options = parser.parse_known_args(list(arguments))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the cluster goes with it
    parts = len(asked.restarts) + 1
    restarts = [(number / parts, _SIGNALS[name]) for number, name in enumerate(asked.restarts, start=1)]
    with tempfile.TemporaryDirectory() as scratch, RUNNERS[asked.runner](Path(scratch, "engine")) as engine:
        given = [*engine, "--max_requests_per_second=50", *options]
        watched = watch(Path(scratch), given, images=asked.images, over_s=asked.over_s, restarts=restarts)
    print("\n".join(say(watched)))
    is_whole = watched.rows == watched.different == watched.images == len(watched.waits_s)
    return 0 if is_whole and watched.paid_twice <= watched.in_flight_at_kill else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
