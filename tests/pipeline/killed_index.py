"""Kill backfills as they write the index, run the same command again, and count what was paid.

python -m tests.pipeline.killed_index --every=4

SIGKILL comes before a file of the index is opened to be written, renamed into place or removed. Then the index is
deleted, and damaged, and no image is paid for again either.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path

from cardbeam.run_state.layout import INDEX
from tests.pipeline import cli
from tests.pipeline.killing import answer, backfill_arguments, draw_images
from tests.servers import CardServer

_PROCESSED, _NEW = 40, 10
_WITHIN_S = 300.0
_COMMAND = """
import sys
from cardbeam.index.on_disk.update import update_index
from tests.cardbeam.index.killed_updates import kill_at
update_index.__kwdefaults__["min_files"] = 0  # a small output has no index otherwise
kill_at(int(sys.argv.pop(1)), sys.argv.pop(1))
from pipeline.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
_NEVER = 1_000_000


def main(arguments: Sequence[str]) -> int:
    """Try the steps until a backfill has no more; 0 if nothing was lost or paid twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.pipeline.killed_index", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="try every so many steps")
    every = parser.parse_args(arguments).every
    with tempfile.TemporaryDirectory() as root, CardServer(partial(answer, latency_s=0.0)) as server:
        images, before = Path(root, "images"), Path(root, "before")
        draw_images(images, _PROCESSED)
        backfill(server, images, before)
        draw_images(images, _NEW, _PROCESSED)
        kills, is_killed, faults = -1, True, list[str]()
        for step in count(step=every):
            if faults or not is_killed:
                break
            kills += 1
            output, start = Path(root, str(step)), len(server.received)
            shutil.copytree(before, output)
            is_killed = backfill(server, images, output, step) == -signal.SIGKILL
            backfill(server, images, output)
            faults = [*paid(server, start + _NEW, f"step {step}"), *without_index(server, images, output)]
            print(*faults or [f"step {step}: {'killed' if is_killed else 'ended'}, {_NEW} new, {_NEW} calls"], sep="\n")
    print(f"{kills} kills")
    return int(bool(faults) or not kills)


def backfill(server: CardServer, images: Path, output: Path, step: int = _NEVER) -> int:
    """One backfill, killed at a step of what it does to the index: its exit status, negative for a signal."""
    of_index = str(output / INDEX)
    given = backfill_arguments(server, images, str(output), 4)
    command = [sys.executable, "-c", _COMMAND, str(step), of_index, "backfill", *given]
    log_path = output.with_suffix(".log")
    with log_path.open("w") as log:
        done = subprocess.run(
            command, cwd=cli.ROOT, env=cli.ENVIRONMENT, stdout=log, stderr=log, timeout=_WITHIN_S, check=False
        )
    if done.returncode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"backfill ended with {done.returncode}: {log_path.read_text()[-2000:]}")
    return done.returncode


def without_index(server: CardServer, images: Path, output: Path) -> list[str]:
    """What is paid where the index is deleted, and where a file of it is damaged."""
    paid_for, faults = len(server.received), list[str]()
    for how in ("deleted", "damaged"):
        if how == "deleted":
            shutil.rmtree(output / INDEX)
        else:
            file = next((output / INDEX / "by_source").iterdir())
            file.write_bytes(file.read_bytes()[:-100])
        backfill(server, images, output)
        faults += paid(server, paid_for, f"index {how}")
        if not list((output / INDEX / "by_source").iterdir()):
            faults.append(f"index {how}: it is not made again")
    return faults


def paid(server: CardServer, expected: int, when: str) -> list[str]:
    """A fault if other calls came than were expected."""
    calls = len(server.received)
    return [] if calls == expected else [f"{when}: {calls - expected:+} calls"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
