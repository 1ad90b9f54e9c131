"""`status`: how a run stands, from the files alone: from any machine, with any runner."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from operator import itemgetter

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.exit import EXIT_COMPLETE, EXIT_FAILED, UsageError
from pipeline.liveness import Observer, is_alive
from pipeline.options import parse
from pipeline.runs import Run, read_run, run_ids
from pipeline.summary import summarise
from pipeline.watch_lines import watch_lines
from transforms.count_found import read_found
from transforms.damaged_file import DamagedFile, warn
from transforms.elements import SettledAs
from transforms.frames import FIELDS, HEADER_BYTES, list_segments, read_stored
from transforms.layout import JOURNAL, LEDGER, of_run
from transforms.read_parquet import read_ledger
from transforms.receipt import read_receipt
from transforms.settings import Problem, option, output_problems
from transforms.storage import Folder, StoredFile, open_folder
from transforms.unsettled import still_open

_of_row = itemgetter(*map(FIELDS.index, ("outcome", "attempts", "last_at")))
_RATE_OVER_S = 60
_REDRAW_S = 2.0


@dataclass(frozen=True, slots=True)
class StatusSettings:
    """Which run is looked at, and how often."""

    output: str = option("", help="The output folder of the run.")
    run_id: str = option("", help="Name of the run; default the newest.")
    watch: bool = option(False, help="Look again every two seconds until the run has ended.")

    def problems(self) -> Iterator[Problem]:
        """What is wrong with it, in words."""
        yield from output_problems(self.output)


@dataclass(frozen=True, slots=True)
class Status:
    """A run under way. `found` is None until its inputs are listed."""

    found: int | None
    answered_before: int
    settled: dict[str, int]
    calls: int
    rate_per_s: float

    @property
    def left(self) -> int | None:
        """Pictures still to settle."""
        if self.found is None:
            return None
        return max(0, self.found - self.answered_before - sum(self.settled.values()))


@dataclass(slots=True)
class RecordCounter:
    """Counts a run's records, reading each byte of the journal once however often it is asked."""

    folder: Folder
    run_id: str
    _read_up_to: dict[str, int] = field(default_factory=dict)
    _settled: dict[str, int] = field(default_factory=lambda: {one.value: 0 for one in SettledAs})
    _calls: int = 0
    _called_at_s: dict[int, int] = field(default_factory=dict)
    _warned: set[str] = field(default_factory=set)
    _journal_from_us: int | None = None
    """When the first record was made that the journal holds, or held when it was looked at."""

    def look(self, now_s: float) -> Status:
        """How the run stands now."""
        for file in list_segments(self.folder, of_run(JOURNAL, self.run_id)):
            if file.size_bytes > self._read_up_to.get(file.path, HEADER_BYTES):
                with suppress(FileNotFoundError):  # taken over by the ledger since it was listed
                    self._count_segment(file)
        for file in self.folder.list(of_run(LEDGER, self.run_id)):
            if file.path.endswith(".parquet") and file.path not in self._read_up_to:
                self._read_up_to[file.path] = file.size_bytes
                with suppress(FileNotFoundError):  # merged into another since it was listed
                    self._count_ledger(file.path)
        found = _read_found(self.folder, self.run_id)
        recent = sum(calls for second, calls in self._called_at_s.items() if now_s - second <= _RATE_OVER_S)
        since_s = min(_RATE_OVER_S, max(1.0, now_s - min(self._called_at_s, default=now_s)))
        return Status(
            found.get("found") if found else None,
            found.get("answered_before", 0) if found else 0,
            dict(self._settled),
            self._calls,
            recent / since_s,
        )

    def _count_segment(self, file: StoredFile) -> None:
        """What came to a segment since the last look."""
        start = self._read_up_to.get(file.path, 0)
        for row, end in read_stored(self.folder, file.path, start, file.size_bytes, on_damage=self._warn_once):
            outcome, attempts, last_at = _of_row(row)
            self._read_up_to[file.path] = end
            self._journal_from_us = min(self._journal_from_us or last_at, last_at)
            self._settled[outcome] += 1
            self._calls += attempts
            if attempts:
                second = last_at // 1_000_000
                self._called_at_s[second] = self._called_at_s.get(second, 0) + attempts

    def _warn_once(self, error: DamagedFile) -> None:
        """A segment that is damaged at its end is met again at each look."""
        if str(error) not in self._warned:
            self._warned.add(str(error))
            warn(error)

    def _count_ledger(self, path: str) -> None:
        """What an earlier session settled: the rest is from the journal, which was counted."""
        try:
            rows = read_ledger(self.folder, path, ["outcome", "attempts", "last_at"])
        except DamagedFile as error:
            warn(error)
            return
        if self._journal_from_us is not None:
            rows = rows.filter(pc.less(rows["last_at"].cast(pa.int64()), self._journal_from_us))
        for counted in pc.value_counts(rows["outcome"]).to_pylist():
            self._settled[counted["values"]] += counted["counts"]
        self._calls += pc.sum(rows["attempts"]).as_py() or 0


def _read_run(folder: Folder, run_id: str) -> Run | None:
    """How a run began, or its name alone where the file about it is damaged."""
    try:
        return read_run(folder, run_id)
    except DamagedFile as error:
        warn(error)
        return Run(run_id, "", datetime.fromtimestamp(0, timezone.utc).isoformat())


def _read_found(folder: Folder, run_id: str) -> dict[str, int] | None:
    try:
        return read_found(folder, run_id)
    except DamagedFile as error:
        warn(error)
        return None


def line(run: Run, status: Status) -> str:
    """A run under way in one line."""
    return "  ".join(_words(run, status))


def _words(run: Run, status: Status) -> Iterator[str]:
    done = status.answered_before + sum(status.settled.values())
    if status.found is None and not done:
        yield "listing the inputs"
        return
    yield f"{done:,} of {status.found:,}" if status.found is not None else f"{done:,} so far"
    yield f"{status.settled['answered']:,} answered, {status.settled['dead']:,} dead"
    allowed = f" of {run.allowed_per_s:g}" if run.allowed_per_s else ""
    yield f"{status.rate_per_s:.1f}{allowed} calls/s"
    if status.left is not None and status.rate_per_s:
        yield f"{timedelta(seconds=round(status.left / status.rate_per_s))!s} left"
    if run.price_per_call:
        yield f"spend {status.settled['answered'] * run.price_per_call:,.2f}"


def main(arguments: Sequence[str]) -> int:
    """Tell how a run stands, while it runs and after; the newest where --run_id does not name one. Exit 4 if its
    process is gone and it did not end."""
    (asked,), _ = parse("status", str(main.__doc__), arguments, StatusSettings, runner=None)
    folder = open_folder(asked.output)
    known = run_ids(folder)
    run_id = asked.run_id or (known[-1] if known else "")
    if not known:
        raise UsageError(f"there is no run in --output {asked.output} yet: begin one with backfill or watch")
    run = _read_run(folder, run_id) if run_id in known else None
    if run is None:
        raise UsageError(f"there is no run {run_id} in --output {asked.output}; there are {', '.join(known)}")
    return _show(folder, run, asked)


def _show(folder: Folder, run: Run, asked: StatusSettings) -> int:
    """Print how the run stands, again and again if that is asked for until it has ended; the exit status."""
    counter, observer = RecordCounter(folder, run.run_id), Observer(folder, run.run_id)
    damaged: list[DamagedFile] = []
    while (receipt := read_receipt(folder, run.run_id, damaged.append)) is None or not receipt.has_ended:
        if damaged:
            warn(damaged[0])
            print(f"run {run.run_id}  {line(run, counter.look(time.time()))}")
            return EXIT_COMPLETE
        lives = observer.look() if asked.watch else is_alive(observer)
        if receipt is None:
            print(f"run {run.run_id}  {line(run, counter.look(time.time()))}", flush=True)
        else:
            print(summarise(receipt, asked.output))
            print("\n".join(watch_lines(folder, run.run_id, time.time())), flush=True)
        if lives is False:
            print(f"  DEAD       {_epitaph(folder, run.run_id)}", flush=True)
            return EXIT_FAILED
        if not asked.watch:
            return EXIT_COMPLETE
        time.sleep(_REDRAW_S)
    print(summarise(receipt, asked.output))
    return EXIT_COMPLETE


def _epitaph(folder: Folder, run_id: str) -> str:
    """What is known of a run whose process is gone."""
    in_flight = still_open(folder, run_id)
    calls = f"up to {in_flight:,} calls were in flight" if in_flight else "no call was in flight"
    return f"its process is gone, and it did not end; {calls}. Rerun the same command to resume"
