"""Journal of a run that goes on -> tables, every few seconds; and, at its end, all of them as a backfill leaves them.

What came since the last time is a part of its own, with its own files, and counts as published
once the run's receipt names them. Small parts are merged, so that a day is not thousands of files.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import chain
from operator import attrgetter

import pyarrow.compute as pc

from cardbeam.config.settings import Settings
from cardbeam.journal.reader import list_segments
from cardbeam.journal.record_format import HEADER_BYTES
from cardbeam.model.part import Part, PartCounts, WrittenFile
from cardbeam.model.record import RecordStatus
from cardbeam.model.result import FOUND, Counts, RequestOutcome
from cardbeam.run_state.layout import JOURNAL, LEDGER, is_waiting_file, of_run, parquet_file
from cardbeam.run_state.receipt import WATCHING, Receipt, make_receipt, read_receipt, write_receipt
from cardbeam.run_state.replaced_files import named_files, note_replaced, sweep_replaced
from cardbeam.storage.folder import Folder
from cardbeam.storage.read_parquet import opened_parquet, read_ledger, schema_fingerprint
from cardbeam.tables.files.compaction import merge
from cardbeam.tables.files.scratch_files import ScratchFiles
from cardbeam.tables.finalize import finalize_run
from cardbeam.tables.parts.part_plan import PART_BYTES, PART_RECORDS, plan_file, plan_new_parts, plan_parts
from cardbeam.tables.parts.write_part import write_part

MAX_SMALL = 32
"""So many small parts are made one, or as many of them as go into one."""
_SWEEP_EVERY_S = 60.0
_SMALL_RECORDS, _SMALL_BYTES = PART_RECORDS // 2, PART_BYTES // 2


@dataclass(frozen=True, slots=True)
class _Published:
    """A part whose files are written, and what of it stands in the tables."""

    part: Part
    counts: PartCounts
    duplicates: int
    files: tuple[WrittenFile, ...]

    @property
    def records(self) -> int:
        """Rows of its ledger file."""
        return sum(file.rows for file in self.ledger)

    @property
    def size_bytes(self) -> int:
        """Of its ledger file."""
        return sum(file.size_bytes for file in self.ledger)

    @property
    def ledger(self) -> list[WrittenFile]:
        """Its ledger file; none, where all of its records are in others."""
        return [file for file in self.files if file.table == LEDGER]

    def is_up_to_date(self, part: Part) -> bool:
        """Whether the tables hold what a later plan of the same records asks for."""
        return self.part.shown_name == part.shown_name


class Publisher:
    """Publishes one run; for one thread."""

    def __init__(
        self,
        folder: Folder,
        settings: Settings,
        started_at: datetime,
        clock: Callable[[], float] = time.time,
        confirm: Callable[[], None] = lambda: None,
    ) -> None:
        """`confirm` raises where another publishes the run by now; it is asked before files are named or removed."""
        self._folder, self._settings, self._started_at = folder, settings, started_at
        self._clock, self._confirm = clock, confirm
        self._run_id = settings.output.run_id
        self._parts: dict[str, _Published] = {}
        self._read_up_to: dict[str, int] = {}
        self._obsolete: set[str] = set()
        """Ledger files whose rows others hold."""
        self._merged: set[str] = set()
        """Files that were merged since the last receipt."""
        self._receipt: Receipt | None = None
        self._sweep_at_s = 0.0

    def publish_all(self, *, is_growing: bool = True, is_last: bool = False) -> None:
        """Everything that ledger and journal hold, each part compared with all others: what did not change is left.

        Where it `is_last`, the files of tables wait to be merged at the end.
        """
        planned = {}
        for part in plan_parts(self._folder, self._run_id, is_growing=is_growing):
            before = self._parts.get(part.name)
            if not part.spans and self._is_repeated(part):
                self._obsolete.add(parquet_file(LEDGER, self._run_id, part.name))
                continue
            planned[part.name] = (
                before
                if before and not part.spans and before.is_up_to_date(part)
                else self._write(part, is_last=is_last)
            )
        self._parts = planned

    def has_new(self) -> bool:
        """Whether something came to the journal since."""
        segments = list_segments(self._folder, of_run(JOURNAL, self._run_id))
        return any(file.size_bytes > self._read_up_to.get(file.path, HEADER_BYTES) for file in segments)

    def publish_new(self) -> int:
        """What came to the journal since: how many records."""
        parts = plan_new_parts(self._folder, self._run_id, self._read_up_to)
        for part in parts:
            self._parts[part.name] = self._write(part)
        small = self._small()
        if len(small) >= MAX_SMALL:
            self._merge(next(_merge_groups(small)))
        return sum(self._parts[part.name].records for part in parts if part.name in self._parts)

    def write_receipt(self, pending_requests: int, now: datetime) -> None:
        """Make what is published visible; what it replaces goes later, for somebody may be reading it."""
        outcome_counts = {**self._outcome_counts(), RequestOutcome.DEFERRED.value: pending_requests}
        outcome_counts[FOUND] = sum(outcome_counts.values())
        receipt = make_receipt(
            self._settings,
            outcome_counts,
            self._counts(),
            self.files(),
            None,
            started_at=self._started_at,
            finished_at=now,
        )
        self._confirm()
        if self._receipt is None or replace(receipt, finished_at="") != replace(self._receipt, finished_at=""):
            before = named_files(self._receipt or read_receipt(self._folder, self._run_id))
            replaced = before.union(self._merged)  # some were never named
            note_replaced(self._folder, self._run_id, replaced, named_files(receipt), self._clock())
            write_receipt(self._folder, replace(receipt, status=WATCHING))
            self._receipt, self._merged = receipt, set()
        self._folder.delete(self._closed_segments())
        self._sweep()

    def _sweep(self) -> None:
        """Delete what was replaced long enough ago, by whichever run; looking costs a listing, so now and then."""
        now_s, keep_s = self._clock(), self._settings.output.keep_replaced_s
        if now_s >= self._sweep_at_s:
            sweep_replaced(self._folder, now_s, keep_s)
            self._sweep_at_s = now_s + min(keep_s, _SWEEP_EVERY_S)

    def finish(self, pending_requests: int, now: datetime, *, is_stopped: bool, deferred: int = 0) -> Receipt:
        """The tables as a backfill leaves them, and the receipt. What is still open was deferred, or is a gap."""
        self.publish_all(is_growing=False)
        if len(small := self._small()) > 1:
            for parts in _merge_groups(small):
                self._merge(parts)
            self.publish_all(is_growing=False)  # a merged part was compared with itself alone
        outcome_counts = {
            **self._outcome_counts(),
            RequestOutcome.DEFERRED.value: deferred + (pending_requests if is_stopped else 0),
        }
        outcome_counts[FOUND] = sum(outcome_counts.values()) + (0 if is_stopped else pending_requests)
        return self._end(outcome_counts, now, write_receipt)

    def close(
        self, count: Callable[[Counts], Counts], completed_at: datetime, write: Callable[[Folder, Receipt], Receipt]
    ) -> Receipt:
        """The same for a run whose workers are gone: `count` completes what its records tell.

        No ledger file that is whole is replaced by another: a receipt may name it.
        """
        self.publish_all(is_growing=False, is_last=True)
        outcome_counts, here = self._outcome_counts(), sum(len(one.part.duplicates) for one in self._parts.values())
        earlier = outcome_counts[RequestOutcome.DUPLICATE.value] - here  # records of what an earlier run had processed
        recorded = {**outcome_counts, RequestOutcome.DUPLICATE.value: here, RequestOutcome.SKIPPED.value: earlier}
        called_s = [one.counts.last_call_s for one in self._parts.values() if one.counts.last_call_s is not None]
        ended_at = max([completed_at, *(datetime.fromtimestamp(one, timezone.utc) for one in called_s)])
        return self._end(count(recorded), ended_at, write)

    def _end(self, outcome_counts: Counts, now: datetime, write: Callable[[Folder, Receipt], Receipt]) -> Receipt:
        files = list(self._merged_files())
        self._confirm()
        receipt = finalize_run(
            self._folder,
            self._settings,
            outcome_counts,
            self._counts(),
            files,
            started_at=self._started_at,
            finished_at=now,
            replaced_at_s=self._clock(),
            obsolete=self._obsolete,
            write=write,
        )
        if receipt.reconciled:
            self._folder.delete(self._read_segments())
        return receipt

    def _write(self, part: Part, *, is_last: bool = False) -> _Published:
        with ScratchFiles() as staging:
            written, counts = write_part(self._folder, part, None if is_last else staging)
            files = written if is_last else list(self._ended(written, staging))
        path = parquet_file(LEDGER, self._run_id, part.name)
        if not part.spans:
            files.append(_described(self._folder, self._run_id, path))
        for span in part.spans:
            self._read_up_to[span.path] = max(span.end, self._read_up_to.get(span.path, 0))
        has_ledger = any(file.table == LEDGER for file in files)
        return _Published(part, counts, _duplicates(self._folder, path) if has_ledger else 0, tuple(files))

    def _ended(self, written: list[WrittenFile], staging: ScratchFiles) -> Iterator[WrittenFile]:
        for file in written:
            yield from [file] if file.table == LEDGER else merge(self._folder, [file], staging=staging)

    def _small(self) -> list[_Published]:
        parts = self._parts.values()
        return [one for one in parts if 0 < one.records <= _SMALL_RECORDS and one.size_bytes <= _SMALL_BYTES]

    def _merge(self, small: list[_Published]) -> None:
        """One ledger file of several, and the tables of it. The old ones are there until the receipt names the new."""
        if len(small) < 2:
            return
        (written,) = merge(self._folder, chain.from_iterable(one.ledger for one in small))
        merged = self._write(plan_file(self._folder, self._run_id, written.path))
        self._obsolete.update(file.path for one in small for file in one.ledger)
        self._merged.update(file.path for one in small for file in one.files)
        names = {one.part.name for one in small}
        self._parts = {name: one for name, one in self._parts.items() if name not in names}
        self._parts[merged.part.name] = merged

    def _is_repeated(self, part: Part) -> bool:
        """Whether another ledger file holds all of its rows: a crash left both."""
        path = parquet_file(LEDGER, self._run_id, part.name)
        return len(part.repeated) == _described(self._folder, self._run_id, path).rows

    def _outcome_counts(self) -> Counts:
        return {
            RequestOutcome.SUCCEEDED.value: sum(one.counts.answered for one in self._parts.values()),
            RequestOutcome.DEAD_LETTERED.value: sum(one.counts.failed for one in self._parts.values()),
            RequestOutcome.DUPLICATE.value: sum(one.duplicates for one in self._parts.values()),
            RequestOutcome.ERASED.value: sum(one.counts.erased for one in self._parts.values()),
        }

    def _counts(self) -> list[PartCounts]:
        return [one.counts for one in self._parts.values()]

    def files(self) -> list[WrittenFile]:
        """What the tables of the run are made of."""
        return list(chain.from_iterable(one.files for one in self._parts.values()))

    def _merged_files(self) -> Iterator[WrittenFile]:
        by_table: dict[str, list[WrittenFile]] = defaultdict(list)
        for file in self.files():
            by_table[file.table].append(file)
        yield from by_table.pop(LEDGER, [])
        for files in by_table.values():
            yield from files if len(files) == 1 and not is_waiting_file(files[0].path) else merge(self._folder, files)

    def _closed_segments(self) -> Iterator[str]:
        """Segments that are read and to which nothing more is written: their writer has begun another."""
        read = list(self._read_segments())
        found = [file.path for file in list_segments(self._folder, of_run(JOURNAL, self._run_id))]
        last = {_writer(path): path for path in found}
        return (path for path in read if last.get(_writer(path), path) != path)

    def _read_segments(self) -> Iterator[str]:
        """Segments whose records are all published. One that is damaged stays, and so does one that was cut since."""
        damaged = {path for one in self._parts.values() for path, _ in one.counts.damaged}
        for file in list_segments(self._folder, of_run(JOURNAL, self._run_id)):
            if file.path not in damaged and self._read_up_to.get(file.path, HEADER_BYTES) >= file.size_bytes:
                yield file.path


def _merge_groups(small: Iterable[_Published]) -> Iterator[list[_Published]]:
    """Small parts by what makes one, the smallest first: any two do."""
    parts: list[_Published] = []
    for one in sorted(small, key=attrgetter("size_bytes")):
        records, size_bytes = (sum(map(attrgetter(of), [*parts, one])) for of in ("records", "size_bytes"))
        if records > PART_RECORDS or size_bytes > PART_BYTES:
            yield parts
            parts = []
        parts.append(one)
    yield parts


def _writer(path: str) -> str:
    return path.rpartition("-")[0]


def _described(folder: Folder, run_id: str, path: str) -> WrittenFile:
    with folder.open(path) as opened:
        size_bytes = opened.seek(0, 2)
    with opened_parquet(folder, path) as file:
        rows, schema = file.metadata.num_rows, schema_fingerprint(file.schema_arrow)
    return WrittenFile(run_id, LEDGER, path, rows, size_bytes, schema)


def _duplicates(folder: Folder, path: str) -> int:
    outcomes = read_ledger(folder, path, ["outcome"])["outcome"]
    return pc.sum(pc.equal(outcomes, RecordStatus.DUPLICATE.value)).as_py() or 0
