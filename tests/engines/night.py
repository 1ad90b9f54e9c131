"""One run on an engine, struck twice: in the middle of the calls, and between the calls and the tables.

./run.sh bench flink --images=2000 --rate=100

On Flink a task manager and its worker die by `kill -9` and another is started; the job restarts from its beginning,
and what the journal holds is not called again. On a local runner the whole process dies, and the same command is
given again: it begins a run of its own. How far it is is read from the journals; when requests came is told by the
endpoint, which runs before all else on the machine where that is allowed (root), for a clock that comes late measures
itself.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.card_server import TYPE
from benchmarks.images import write_images
from benchmarks.machine import endpoint, most_in_a_second
from cardbeam.journal.follower import JournalFollower
from cardbeam.run_state.receipt import Receipt, read_receipt
from cardbeam.storage.folder import open_folder
from pipeline.runs.registry import run_ids
from tests.engines.engines import ENGINES, Child, Engine
from tests.pipeline import cli

IMAGE_BYTES = 20_000
_USED = 0.95
_LOOK_S = 0.05
_WITHIN_S = 600.0


@dataclass(frozen=True, slots=True)
class Night:
    """What came of it."""

    engine: str
    images: int
    rows: tuple[int, int]
    """Rows in the tables, and how many of them are of different images."""
    receipt: Receipt
    """Of the run that came to its end."""
    interrupted: tuple[Receipt, ...]
    """Of the runs whose launching process was killed."""
    calls: int
    most_under_way: int
    """Places for calls in progress, over all workers and both strikes: no more may be paid twice."""
    busiest_second: int
    used: float
    """Of the allowed rate, up to the first strike and from the silence after it to the second."""
    used_in_all: float
    """The same with what survivors of the first strike called until that silence."""
    pauses_s: list[float | None]
    took_s: float
    text: str
    """All that the backfill printed."""

    @property
    def paid_twice(self) -> int:
        return self.calls - self.images

    def report(self) -> str:
        pauses = ", ".join("no call" if pause is None else f"{pause:.1f} s to the next call" for pause in self.pauses_s)
        rate = self.receipt.rate["allowed_per_s"]
        return "\n".join(
            [
                f"{self.engine}: {self.images} images in {self.took_s:.0f} s",
                f"  receipt         {self.receipt.status}, reconciled: {self.receipt.reconciled}",
                f"  tables          {self.rows[0]} rows of {self.rows[1]} different images",
                f"  paid twice      {self.paid_twice} (bound {self.most_under_way}: in progress at two strikes)",
                f"  after a strike  {pauses}",
                f"  busiest second  {self.busiest_second} of {rate:g} allowed",
                f"  rate used       {self.used:.3f} before the first strike and after its silence",
                f"  until silence   {self.used_in_all:.3f} with what survivors call while a lost share is idle",
            ]
        )

    def validate(self) -> list[str]:
        """What was lost, or paid for too often."""
        kept = {
            "the receipt": self.receipt.reconciled and self.receipt.status == "complete",
            "the others": all(one.reconciled and one.status == "interrupted" for one in self.interrupted),
            "each image once": self.rows == (self.images, self.images),
            "paid twice": 0 <= self.paid_twice <= self.most_under_way,
        }
        return [promise for promise, is_kept in kept.items() if not is_kept]

    def problems_in_time(self) -> list[str]:
        """What was too fast or too slow, which a busy machine decides too."""
        kept = {
            "the busiest second": self.busiest_second <= self.receipt.rate["allowed_per_s"],
            "the rate used": self.used >= _USED,
        }
        return [promise for promise, is_kept in kept.items() if not is_kept]


def run_night(
    engine: Engine, folder: Path, *, images: int, rate: float, in_flight: int = 32, latency_s: float = 0.1
) -> Night:
    """A backfill that is struck once half of it is answered, and again when all of it is."""
    write_images(folder / "in", images, IMAGE_BYTES)
    started_s = time.monotonic()
    with endpoint(latency_s, real_time=True) as server:
        arguments = [
            f"--input={folder}/in/*.jpg",
            f"--output={folder}/out",
            f"--endpoint_url={server.base_url}",
            f"--max_requests_per_second={rate:g}",
            f"--max_in_flight={in_flight}",
            *engine.options,
        ]
        child = cli.start("backfill", *arguments)
        processed = JournalRecord(folder / "out")
        struck_s = []
        for share in (0.5, 1.0):
            wait_for(child, lambda share=share: processed.count() >= share * images)
            struck_s.append(time.monotonic())
            child = engine.strike(child, arguments)
        out, err = child.communicate(timeout=_WITHIN_S)
        took_s = time.monotonic() - started_s
        came_s = sorted(server.served().came_s)
    if child.returncode:
        raise RuntimeError(f"backfill ended with {child.returncode}\n{out}\n{err}")
    output = open_folder(str(folder / "out"))
    *interrupted, last = [receipt for run_id in run_ids(output) if (receipt := read_receipt(output, run_id))]
    (rows,) = cli.query(folder / "out", f"SELECT count(*), count(DISTINCT item_id) FROM {TYPE}")
    silences = [silence_after(came_s, at_s) for at_s in struck_s]
    return Night(
        engine.name,
        images,
        rows,  # type: ignore[arg-type]  # two counts
        last,
        tuple(interrupted),
        len(came_s),
        in_flight * engine.workers * len(struck_s),
        most_in_a_second(came_s),
        used(came_s, struck_s, rate),
        used_in_all(came_s, struck_s, rate),
        [silence and silence[1] - silence[0] for silence in silences],
        took_s,
        out + err,
    )


class JournalRecord:
    """How many images of an output are processed, as the journals and ledgers of its runs say."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._tails: dict[str, JournalFollower] = {}
        self._item_ids: set[str] = set()

    def count(self) -> int:
        """By now."""
        folder = open_folder(str(self._output))
        for run_id in run_ids(folder):
            tail = self._tails.setdefault(run_id, JournalFollower(folder, run_id))
            self._item_ids.update(known.item_id for known in tail.read())
        return len(self._item_ids)


def wait_for(child: Child, is_there: Callable[[], bool]) -> None:
    """Come back when it is there.

    Raises:
        RuntimeError: the backfill has ended before, or takes too long.
    """
    deadline_s = time.monotonic() + _WITHIN_S
    while not is_there():
        if child.poll() is not None or time.monotonic() > deadline_s:
            out, err = child.communicate() if child.poll() is not None else ("", "")
            raise RuntimeError(f"the backfill went no further: {child.returncode}\n{out}\n{err}")
        time.sleep(_LOOK_S)


def silence_after(came_s: Sequence[float], at_s: float) -> tuple[float, float] | None:
    """The longest silence that began within ten seconds after a strike; a survivor may call on for a while."""
    later = [one for one in came_s if one > at_s]
    silences = [(before, after) for before, after in pairwise([at_s, *later]) if before - at_s < 10]
    return max(silences, key=lambda silence: silence[1] - silence[0], default=None)


def used(came_s: Sequence[float], struck_s: Sequence[float], rate: float) -> float:
    """Calls over what was allowed: from the first to the first strike, and from its silence to the second strike."""
    silence = silence_after(came_s, struck_s[0])
    again_s = silence[1] if silence else struck_s[0]
    spans = [
        [one for one in came_s if one <= struck_s[0]],
        [one for one in came_s if again_s <= one <= struck_s[1]],
    ]
    return sum(len(span) - 1 for span in spans) / sum(span[-1] - span[0] for span in spans) / rate


def used_in_all(came_s: Sequence[float], struck_s: Sequence[float], rate: float) -> float:
    """Calls over what was allowed from the first of them to the second strike, but for the silence after the first."""
    until_s, again_s = silence_after(came_s, struck_s[0]) or (struck_s[0], struck_s[0])
    span = [one for one in came_s if one <= struck_s[1]]
    return (len(span) - 1) / (span[-1] - span[0] - (again_s - until_s)) / rate


def main(arguments: Sequence[str]) -> int:
    """One run; 0 where all that is promised was kept."""
    parser = argparse.ArgumentParser(prog="run.sh bench flink", description=main.__doc__)
    parser.add_argument("--engine", choices=sorted(ENGINES), default="flink")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--in_flight", type=int, default=32, help="as --max_in_flight, for each worker")
    parser.add_argument("--latency_s", type=float, default=0.1)
    parser.add_argument("--folder", default="", help="keep all there; default a temporary folder")
    asked = parser.parse_args(list(arguments))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the cluster goes with it
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(asked.folder or scratch)
        with ENGINES[asked.engine](folder / "engine") as engine:
            night = run_night(
                engine,
                folder,
                images=asked.images,
                rate=asked.rate,
                in_flight=asked.in_flight,
                latency_s=asked.latency_s,
            )
    print(night.report())
    if failures := [*night.validate(), *night.problems_in_time()]:
        print("not kept: " + ", ".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
