"""Kill a backfill again and again, resume it, and count what was paid.

python -m tests.pipeline.killing --pictures=2000 --kills=50
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
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tests.pipeline import cli
from tests.servers import Answer, CardServer, Received, success


@dataclass(frozen=True, slots=True)
class Killed:
    """What came of it: kills that hit, and how often a picture was sent again."""

    kills: int
    calls: int
    paid_twice: int


def answer(got: Received, latency_s: float) -> Answer:
    """One passport, its number made from the picture."""
    reply = success(("passport", {"id": got.key[:12], "dob": "12-03-2001"}))
    return Answer(reply.body, headers=reply.headers, latency_s=latency_s)


def draw_pictures(folder: Path, count: int) -> None:
    """Small pictures, no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        out = io.BytesIO()
        Image.new("RGB", (24, 16), (number % 256, number // 256 % 256, number // 65536)).save(out, "PNG")
        Path(folder, f"{number:06}.png").write_bytes(out.getvalue())


def backfill_arguments(server: CardServer, pictures: Path, output: str, in_flight: int) -> list[str]:
    """A backfill as fast as the server lets it."""
    return [
        f"--input={pictures}/*.png",
        f"--output={output}",
        f"--endpoint_url={server.base_url}",
        "--max_requests_per_second=0",
        f"--max_in_flight={in_flight}",
    ]


def kill_and_resume(server: CardServer, arguments: list[str], kills: int, longest_s: float, seed: int = 1) -> Killed:
    """Run a backfill to its end through a number of `kill -9`, each a random time after a session's first call.

    A session without a call left is killed a random time after its start, which hits the publishing.
    """
    chance = random.Random(seed)
    hit = 0
    while hit < kills:
        calls_before = sum(server.calls.values())
        child = cli.start("backfill", *arguments)
        while child.poll() is None and sum(server.calls.values()) == calls_before:
            time.sleep(0.002)
        if child.poll() is not None:
            _check(child)
            break
        time.sleep(chance.uniform(0, longest_s))
        if child.poll() is None:
            hit += 1
        _kill(child)
    last = cli.run("backfill", *arguments)
    assert last.returncode == 0, last.stderr
    calls = sum(server.calls.values())
    return Killed(hit, calls, calls - len(server.calls))


def _kill(child: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.communicate()


def _check(child: subprocess.Popen[str]) -> None:
    _, err = child.communicate()
    assert child.returncode == 0, err


def kill_while_publishing(arguments: list[str], kills: int, seed: int = 1) -> int:
    """Kill `publish` at random moments of its work; how many hit it before its end."""
    chance = random.Random(seed)
    started_s = time.monotonic()
    assert cli.run("publish", *arguments).returncode == 0
    whole_s = time.monotonic() - started_s
    hit = 0
    for _ in range(kills):
        child = cli.start("publish", *arguments)
        time.sleep(chance.uniform(0.3, 1.0) * whole_s)
        hit += child.poll() is None
        _kill(child)
    return hit


def main(arguments: Sequence[str]) -> int:
    """Many kills over many pictures; prints what they cost."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--in_flight", type=int, default=32)
    parser.add_argument("--latency_s", type=float, default=0.05)
    parser.add_argument("--longest_s", type=float, default=0.12, help="Longest time from a first call to the kill.")
    parser.add_argument("--output", default="", help="An empty folder or bucket prefix; default a temporary folder.")
    asked = parser.parse_args(list(arguments))
    with tempfile.TemporaryDirectory() as scratch:
        pictures, output = Path(scratch, "in"), asked.output or f"{scratch}/out"
        draw_pictures(pictures, asked.pictures)
        with CardServer(lambda got: answer(got, asked.latency_s), keeps_content=False) as server:
            given = backfill_arguments(server, pictures, output, asked.in_flight)
            killed = kill_and_resume(server, given, asked.kills, asked.longest_s)
            in_publish = kill_while_publishing([f"--output={output}"], kills=10)
        (rows,) = cli.query(output, "SELECT count(*), count(DISTINCT item_id) FROM passport")
        print(f"{killed.kills} kills in calls, {in_publish} in publish: {asked.pictures} pictures, rows {rows[0]}")
        print(f"different pictures in the tables {rows[1]}, calls {killed.calls}, paid twice {killed.paid_twice}")
    return 0 if rows == (asked.pictures, asked.pictures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
