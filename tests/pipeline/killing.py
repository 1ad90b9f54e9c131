"""Kill backfills, publishes and watches again and again, run the same command again, and hold everything against it.

python -m tests.pipeline.killing --images=2000 --kills=50
python -m tests.pipeline.killing --images=400 --kills=20 --by_signals
"""

from __future__ import annotations

import argparse
import io
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from PIL import Image

from cardbeam.calls.worker import prefetch_slots
from cardbeam.run_state.layout import DOCUMENTS, JOURNAL
from cardbeam.run_state.receipt import Receipt, read_receipt
from cardbeam.storage.folder import Folder, open_folder
from pipeline.runs.recovery import unfinished_runs
from pipeline.runs.registry import ended_runs
from tests.engines import install
from tests.pipeline import cli
from tests.servers import Answer, CardServer, success
from tests.wire import Received

_FATES = ("skipped", "duplicates", "succeeded", "dead_lettered", "deferred")
_NEW = 20
"""Images that are put while a watch runs, each time."""
_WITHIN_S = 300.0


@dataclass(frozen=True, slots=True)
class Killed:
    """What came of it: kills that hit, and how often an image was sent again."""

    kills: int
    calls: int
    paid_twice: int


def answer(got: Received, latency_s: float) -> Answer:
    """One passport, its number made from the image."""
    response = success(("passport", {"id": got.key[:12], "dob": "12-03-2001"}))
    return Answer(response.body, headers=response.headers, latency_s=latency_s)


def draw_images(folder: Path, count: int, start: int = 0) -> None:
    """Small images, no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        out = io.BytesIO()
        Image.new("RGB", (24, 16), (number % 256, number // 256 % 256, number // 65536)).save(out, "PNG")
        Path(folder, f"{number:06}.png").write_bytes(out.getvalue())


def backfill_arguments(server: CardServer, images: Path, output: str, in_flight: int) -> list[str]:
    """A backfill as fast as the server lets it."""
    return [
        f"--input={images}/*.png",
        f"--output={output}",
        f"--endpoint_url={server.base_url}",
        "--max_requests_per_second=0",
        f"--max_in_flight={in_flight}",
    ]


End = Callable[["subprocess.Popen[str]"], object]
"""How a child is ended, and awaited."""


def kill(child: subprocess.Popen[str]) -> None:
    """With its children, at once."""
    if child.poll() is None:  # else its number may be another's by now
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    child.communicate()


def by_signals(seed: int = 1) -> End:
    """As a terminal, systemd and a closed ssh end a command, one of them by chance; it must end in order."""
    chance = random.Random(seed)

    def tell(child: subprocess.Popen[str]) -> None:
        number = chance.choice((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        with suppress(ProcessLookupError):
            os.kill(child.pid, number)
        _, err = child.communicate(timeout=_WITHIN_S)
        expected = {0, 130 if number == signal.SIGINT else 143, -number}  # the last before Python has loaded us
        assert child.returncode in expected, err

    return tell


def kill_and_resume(
    server: CardServer, arguments: list[str], kills: int, longest_s: float, seed: int = 1, end: End = kill
) -> Killed:
    """Run a backfill to its end through a number of `kill -9`, each a random time after a launch's first call.

    Each launch is a run of its own. One without a call left is let be, and ends the killing.
    """
    chance = random.Random(seed)
    hit = 0
    while hit < kills:
        calls_before = _calls_at_rest(server)
        child = cli.start("backfill", *arguments)
        _await_call(server, calls_before, child)
        if child.poll() is not None:
            _check(child)
            break
        time.sleep(chance.uniform(0, longest_s))
        if child.poll() is None:
            hit += 1
        end(child)
    last = cli.run("backfill", *arguments, timeout_s=_WITHIN_S)
    assert last.returncode == 0, last.stderr
    calls = sum(server.calls.values())
    return Killed(hit, calls, calls - len(server.calls))


def _check(child: subprocess.Popen[str]) -> None:
    _, err = child.communicate()
    assert child.returncode == 0, err


def kill_at_any_moment(command: str, arguments: list[str], kills: int, seed: int = 1, end: End = kill) -> int:
    """Kill a command at random moments between its start and its end, until so many hit it before its end."""
    chance = random.Random(seed)
    started_s = time.monotonic()
    assert cli.run(command, *arguments, timeout_s=_WITHIN_S).returncode == 0
    whole_s = time.monotonic() - started_s
    hit = 0
    for _ in range(4 * kills):
        if hit == kills:
            break
        child = cli.start(command, *arguments)
        time.sleep(chance.uniform(0.3, 1.0) * whole_s)
        hit += child.poll() is None
        end(child)
    return hit


def kill_while_publishing(arguments: list[str], kills: int, seed: int = 1, end: End = kill) -> int:
    """Kill `publish` at random moments of its work; how many hit it before its end."""
    return kill_at_any_moment("publish", arguments, kills, seed, end)


def kill_while_watching(
    server: CardServer,
    arguments: list[str],
    put: Callable[[], object],
    kills: int,
    seed: int = 1,
    end: End = kill,
) -> int:
    """Kill a watch after it was given new images, at random moments from its start on; how many kills hit."""
    chance = random.Random(seed)
    hit = 0
    for _ in range(4 * kills):
        if hit == kills:
            break
        put()
        calls_before = _calls_at_rest(server)
        child = cli.start("watch", *arguments)
        if chance.random() < 0.7:  # in its calls, or as it publishes them
            _await_call(server, calls_before, child)
            time.sleep(chance.uniform(0, 4.0))
        else:
            time.sleep(chance.uniform(0.5, 8.0))
        hit += child.poll() is None
        end(child)
    return hit


def _calls_at_rest(server: CardServer) -> int:
    """How many calls came, once those of the process that was killed have come."""
    before, calls = -1, sum(server.calls.values())
    while before != calls:
        time.sleep(0.3)
        before, calls = calls, sum(server.calls.values())
    return calls


def _await_call(server: CardServer, calls_before: int, child: subprocess.Popen[str]) -> None:
    until_s = time.monotonic() + _WITHIN_S
    while child.poll() is None and sum(server.calls.values()) == calls_before:
        assert time.monotonic() < until_s
        time.sleep(0.002)


def audit(output: str, images: int) -> Iterator[str]:
    """What is wrong with an output whose commands were killed and run again, in words; nothing, if all adds up."""
    folder = open_folder(output)
    receipts = [receipt for run_id in ended_runs(folder) if (receipt := read_receipt(folder, run_id))]
    items = _items(folder)
    if (len(items), len(set(items))) != (images, images):
        yield f"{images} images, but the documents have {len(items)} rows of {len(set(items))} items"
    if left := list(unfinished_runs(folder)):
        yield f"runs that did not end: {left}"
    if journal := [file.path for file in folder.list(JOURNAL)]:
        yield f"the journal holds {journal}"
    yield from (fault for receipt in receipts for fault in _faults(receipt))
    processed = sum(receipt.requests["succeeded"] + receipt.requests["dead_lettered"] for receipt in receipts)
    if processed != images:
        yield f"{images} images, but the receipts tell of {processed}"
    named = {file["path"] for receipt in receipts for file in receipt.files}
    there = {file.path for file in folder.list("") if file.path.endswith((".parquet", ".arrow"))}
    if there - named:
        yield f"files that no receipt names: {sorted(there - named)[:3]}"
    if named - there:
        yield f"files that are not there: {sorted(named - there)[:3]}"


def _items(folder: Folder) -> list[str]:
    """Items of the documents in all files, named by a receipt or not, of all runs: any engine reads them all."""
    items: list[str] = []
    for file in folder.list(DOCUMENTS):
        if file.path.endswith(".parquet"):
            with folder.open(file.path) as opened:
                items += pq.ParquetFile(opened).read(["item_id"])["item_id"].to_pylist()
    return items


def _faults(receipt: Receipt) -> Iterator[str]:
    ended = sum(receipt.requests[outcome] for outcome in _FATES)
    if not receipt.reconciled or receipt.requests["found"] != ended:
        yield f"run {receipt.run_id} is not reconciled: {receipt.requests}, {receipt.discrepancies}"
    if receipt.status not in ("complete", "interrupted"):
        yield f"run {receipt.run_id} is {receipt.status}"


@dataclass(frozen=True, slots=True)
class Kills:
    """How many of each kind, how long after its first call a backfill is killed, and what each may cost."""

    backfill: int
    publish: int
    watch: int
    longest_s: float
    lost_each: float
    """Calls that were sent and are not durable, at the most."""
    end: End = kill

    @classmethod
    def of(cls, kills: int, longest_s: float, lost_each: float, end: End = kill) -> Kills:
        """Three fifths in backfills, a fifth in publishes and in watches each."""
        return cls(kills - 2 * (kills // 5), kills // 5, kills // 5, longest_s, lost_each, end)


def kill_everything(
    server: CardServer, images: Path, arguments: list[str], output: str, kills: Kills
) -> tuple[str, list[str]]:
    """Kill commands over one output; what was done, and what is wrong with what is there in the end."""
    killed = kill_and_resume(server, arguments, kills.backfill, kills.longest_s, end=kills.end)
    in_publish = kill_while_publishing([f"--output={output}"], kills.publish, end=kills.end)

    def put() -> None:
        draw_images(images, _NEW, start=len(list(images.iterdir())))

    source = f"--input={images}"
    watching = [
        source,
        *arguments[1:],
        "--poll_interval_s=1",
        "--publish_interval_s=1",
        f"--prism_location={install.prism()}",
    ]
    in_watch = kill_while_watching(server, watching, put, kills.watch, end=kills.end)
    last = cli.run("backfill", *arguments, timeout_s=_WITHIN_S)
    assert last.returncode == 0, last.stderr
    count = len(list(images.iterdir()))
    wrong = list(audit(output, count))
    calls, hit = sum(server.calls.values()), killed.kills + in_publish + in_watch
    paid_twice = calls - len(server.calls)
    bound = round((killed.kills + in_watch) * kills.lost_each)
    if paid_twice > bound:
        wrong.append("more calls were made again than were sent and not yet durable")
    if hit < kills.backfill + kills.publish + kills.watch:
        wrong.append(f"only {hit} kills hit")
    statuses = Counter(
        receipt.status
        for run_id in ended_runs(open_folder(output))
        if (receipt := read_receipt(open_folder(output), run_id))
    )
    done = (
        f"{hit} kills: {killed.kills} in backfill, {in_publish} in publish, {in_watch} in watch; {count} images, "
        f"{len(server.calls)} sent, {calls} calls, {paid_twice} of them again ({bound} were not yet durable at most); "
        f"{sum(statuses.values())} runs: {dict(statuses)}"
    )
    return done, wrong


def main(arguments: Sequence[str]) -> int:
    """Many kills over many images; prints what they cost, and what is wrong after them."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--in_flight", type=int, default=32)
    parser.add_argument("--latency_s", type=float, default=0.05)
    parser.add_argument("--longest_s", type=float, default=0.12, help="Longest time from a first call to the kill.")
    parser.add_argument("--by_signals", action="store_true", help="SIGTERM, SIGINT and SIGHUP in place of kill -9.")
    asked = parser.parse_args(list(arguments))
    with tempfile.TemporaryDirectory() as scratch:
        images, output = Path(scratch, "in"), f"{scratch}/out"
        draw_images(images, asked.images)
        with CardServer(lambda got: answer(got, asked.latency_s), keeps_content=False) as server:
            given = backfill_arguments(server, images, output, asked.in_flight)
            lost_each = 0 if asked.by_signals else asked.in_flight + prefetch_slots(asked.in_flight)
            end = by_signals() if asked.by_signals else kill
            kills = Kills.of(asked.kills, asked.longest_s, lost_each, end)
            return say(*kill_everything(server, images, given, output, kills))


def say(done: str, wrong: list[str]) -> int:
    """Print it; 0 where nothing is wrong."""
    print(done)
    print("\n".join(wrong) or "nothing is lost, nothing doubled, every receipt adds up")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
