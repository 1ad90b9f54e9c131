"""`status`: how a run stands, from the files alone: from any machine, with any runner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from cardbeam.journal.reader import list_segments, read_stored
from cardbeam.journal.record_format import HEADER_BYTES
from cardbeam.model.record import RecordStatus
from cardbeam.run_state.counts import read_found
from cardbeam.run_state.layout import JOURNAL, LEDGER, of_run
from cardbeam.run_state.replaced_files import unnamed_files
from cardbeam.storage.damaged_file import DamagedFile, warn
from cardbeam.storage.folder import Folder, StoredFile
from cardbeam.storage.read_parquet import read_ledger
from pipeline.runs.registry import Run

_RATE_OVER_S = 60


@dataclass(frozen=True, slots=True)
class Status:
    """A run in progress. `found` is None until its inputs are listed."""

    found: int | None
    answered_before: int
    completed: dict[str, int]
    calls: int
    rate_per_s: float

    @property
    def left(self) -> int | None:
        """Images still to process."""
        if self.found is None:
            return None
        return max(0, self.found - self.answered_before - sum(self.completed.values()))


@dataclass(slots=True)
class RecordCounter:
    """Counts a run's records, reading each byte of the journal once however often it is asked."""

    folder: Folder
    run_id: str
    _read_up_to: dict[str, int] = field(default_factory=dict)
    _completed: dict[str, int] = field(default_factory=lambda: {one.value: 0 for one in RecordStatus})
    _calls: int = 0
    _called_at_s: dict[int, int] = field(default_factory=dict)
    _warned: set[str] = field(default_factory=set)
    _journal_from_us: int | None = None
    """When the first record was made that the journal holds, or held when it was read."""

    def poll(self, now_s: float) -> Status:
        """How the run stands now."""
        for file in list_segments(self.folder, of_run(JOURNAL, self.run_id)):
            if file.size_bytes > self._read_up_to.get(file.path, HEADER_BYTES):
                with suppress(FileNotFoundError):  # taken over by the ledger since it was listed
                    self._count_segment(file)
        ledger = [file for file in self.folder.list(of_run(LEDGER, self.run_id)) if file.path.endswith(".parquet")]
        new = [file for file in ledger if file.path not in self._read_up_to]
        replaced = unnamed_files(self.folder, self.run_id) if new else frozenset()
        for file in new:
            self._read_up_to[file.path] = file.size_bytes
            if file.path not in replaced:
                with suppress(FileNotFoundError):  # merged into another since it was listed
                    self._count_ledger(file.path)
        found = _read_found(self.folder, self.run_id)
        recent = sum(calls for second, calls in self._called_at_s.items() if now_s - second <= _RATE_OVER_S)
        since_s = min(_RATE_OVER_S, max(1.0, now_s - min(self._called_at_s, default=now_s)))
        return Status(
            found.get("found") if found else None,
            found.get("skipped", 0) if found else 0,
            dict(self._completed),
            self._calls,
            recent / since_s,
        )

    def _count_segment(self, file: StoredFile) -> None:
        """What came to a segment since the last look."""
        start = self._read_up_to.get(file.path, 0)
        for record, end in read_stored(self.folder, file.path, start, file.size_bytes, on_damage=self._warn_once):
            self._read_up_to[file.path] = end
            self._journal_from_us = min(self._journal_from_us or record.completed_at, record.completed_at)
            self._completed[record.outcome] += 1
            self._calls += record.attempts
            if record.attempts:
                second = record.completed_at // 1_000_000
                self._called_at_s[second] = self._called_at_s.get(second, 0) + record.attempts

    def _warn_once(self, error: DamagedFile) -> None:
        """A segment that is damaged at its end is met again at each look."""
        if str(error) not in self._warned:
            self._warned.add(str(error))
            warn(error)

    def _count_ledger(self, path: str) -> None:
        """What an earlier session processed: the rest is from the journal, which was counted."""
        try:
            rows = read_ledger(self.folder, path, ["outcome", "attempts", "completed_at"])
        except DamagedFile as error:
            warn(error)
            return
        if self._journal_from_us is not None:
            rows = rows.filter(pc.less(rows["completed_at"].cast(pa.int64()), self._journal_from_us))
        for counted in pc.value_counts(rows["outcome"]).to_pylist():
            self._completed[counted["values"]] += counted["counts"]
        self._calls += pc.sum(rows["attempts"]).as_py() or 0


def _read_found(folder: Folder, run_id: str) -> dict[str, int] | None:
    try:
        return read_found(folder, run_id)
    except DamagedFile as error:
        warn(error)
        return None


def line(run: Run, status: Status) -> str:
    """A run in progress in one line."""
    return "  ".join(_words(run, status))


def _words(run: Run, status: Status) -> Iterator[str]:
    done = status.answered_before + sum(status.completed.values())
    if status.found is None and not done:
        yield "listing the inputs"
        return
    yield f"{done:,} of {status.found:,}" if status.found is not None else f"{done:,} so far"
    yield f"{status.completed['succeeded']:,} answered, {status.completed['failed']:,} failed"
    allowed = f" of {run.allowed_per_s:g}" if run.allowed_per_s else ""
    yield f"{status.rate_per_s:.1f}{allowed} calls/s"
    if status.left is not None and status.rate_per_s:
        yield f"{timedelta(seconds=round(status.left / status.rate_per_s))!s} left"
    if run.price_per_call:
        yield f"cost {status.completed['succeeded'] * run.price_per_call:,.2f}"
