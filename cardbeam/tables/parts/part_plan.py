"""Journal and ledger of a run -> Parts: which records are written together, which are replaced.

Of several records of one request the tables show one: an answer before a failure, the first
answer that was paid for, the last failure. The ledger keeps them all. A part's name is a hash
of its records, so that the same records always make the same files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cardbeam.index.id_array import Ids, IdSet, Index, to_ids
from cardbeam.journal.reader import list_segments, read_stored
from cardbeam.model.part import Part, Span
from cardbeam.model.record import JournalRecord, RecordStatus
from cardbeam.run_state.layout import JOURNAL, LEDGER, of_run
from cardbeam.storage.damaged_file import pass_over
from cardbeam.storage.folder import Folder
from cardbeam.storage.read_parquet import opened_ledger
from cardbeam.tables.parts.record_keys import DUPLICATE, Keys, Rows, shared_with_others
from schemas.run_tables import LEDGER_SCHEMA

PART_RECORDS = 50_000
PART_BYTES = 32 * 1024 * 1024
"""Bounds of one part, which is one ledger file."""

_KEYS = ("item_id", "source_id", "outcome", "completed_at")
_BATCH_ROWS = 1024
"""Rows of a journal whose keys become numbers at once."""
_TYPES = (pa.string(), pa.string(), pa.string(), pa.int64())
_NO_DUPLICATES = LEDGER_SCHEMA.empty_table()
_keys_of = attrgetter(*_KEYS)
_DUPLICATE = RecordStatus.DUPLICATE.value  # looked up for each record otherwise
_Duplicates = list[tuple[str, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class _PartPlan:
    """A part before its records were compared with those of the others."""

    name: str | None
    spans: tuple[Span, ...]
    keys: Keys
    duplicates: _Duplicates


def plan_parts(
    folder: Folder,
    run_id: str,
    *,
    part_records: int = PART_RECORDS,
    part_bytes: int = PART_BYTES,
    is_growing: bool = False,
) -> list[Part]:
    """Every part of a run: its ledger files, and its journal cut into new ones within the bounds.

    Where a journal `is_growing`, spans end with the last whole record: what looks torn may only be half written.
    """
    ledger = _ledger_drafts(folder, _ledger_paths(folder, run_id))
    read_up_to: Mapping[str, int] | None = {} if is_growing else None
    return _parts(run_id, [*ledger, *_journal_drafts(folder, run_id, part_records, part_bytes, read_up_to)])


def plan_new_parts(folder: Folder, run_id: str, read_up_to: Mapping[str, int]) -> list[Part]:
    """The parts of what came to a run's journal since it was read up to some byte of each segment.

    Their writers may still write: spans end with the last whole record. The parts are compared with
    each other alone: what they replace in older parts is left to `plan_parts`.
    """
    return _parts(run_id, list(_journal_drafts(folder, run_id, PART_RECORDS, PART_BYTES, read_up_to)))


def plan_items(folder: Folder, run_ids: Iterable[str], items: IdSet) -> list[Part]:
    """The parts of several runs that hold any of some items, whose journals may grow; of several records of an item,
    whatever runs they are of, the tables show one. Such a part's other items are left in."""
    drafts: list[_PartPlan] = []
    runs: list[str] = []
    for run_id in run_ids:
        ledger = _ledger_drafts(folder, _ledger_paths(folder, run_id))
        found = [*ledger, *_journal_drafts(folder, run_id, PART_RECORDS, PART_BYTES, {})]
        drafts += found
        runs += [run_id] * len(found)
    parts = [replace(part, run_id=run_id) for part, run_id in zip(_parts("", drafts), runs, strict=True)]
    return [part for part, draft in zip(parts, drafts, strict=True) if items.has_any(draft.keys.items)]


def plan_file(folder: Folder, run_id: str, path: str) -> Part:
    """One ledger file as a part, compared with nothing else."""
    (part,) = _parts(run_id, list(_ledger_drafts(folder, [path])))
    return part


def _parts(run_id: str, drafts: list[_PartPlan]) -> list[Part]:
    if not drafts:
        return []
    meeting = shared_with_others([draft.keys for draft in drafts])
    met = Keys.joined(draft.keys.take(rows) for draft, rows in zip(drafts, meeting, strict=True))
    is_shown = np.zeros(len(met), bool)
    is_shown[met.canonical_rows()] = True
    is_shown &= met.ranks < DUPLICATE
    is_superseded = (~is_shown & (met.ranks < DUPLICATE)) | met.resolved_failures()
    ends = np.cumsum([len(rows) for rows in meeting])
    by_draft = [np.split(mask, ends[:-1]) for mask in (met.repeated(), is_superseded)]
    duplicates = _duplicates_by_part(
        drafts, met.items[is_shown], np.searchsorted(ends, np.flatnonzero(is_shown), side="right")
    )
    return [
        _part(run_id, draft, rows[is_repeated], rows[is_replaced], duplicates[number])
        for number, (draft, rows, is_repeated, is_replaced) in enumerate(zip(drafts, meeting, *by_draft, strict=True))
    ]


def _part(run_id: str, draft: _PartPlan, repeated: Rows, superseded: Rows, duplicates: _Duplicates) -> Part:
    kept = draft.keys.take(np.delete(np.arange(len(draft.keys)), repeated)) if len(repeated) else draft.keys
    return Part(
        run_id,
        draft.name or f"part-{kept.digest()[:16]}",
        draft.spans,
        repeated=frozenset(repeated.tolist()),
        superseded=frozenset(superseded.tolist()),
        duplicates=tuple(duplicates),
        records=len(draft.keys),
    )


def _duplicates_by_part(drafts: list[_PartPlan], shown_ids: Ids, shown_parts: Rows) -> dict[int, _Duplicates]:
    """Duplicates, by the part that shows their original; those of an earlier run's answers are in none."""
    found: dict[int, _Duplicates] = defaultdict(list)
    duplicates = sorted({duplicate for draft in drafts for duplicate in draft.duplicates})
    parts = shown_parts.astype(np.int64)
    index = Index.of(shown_ids, parts, parts)
    for duplicate, at in zip(duplicates, index.find(to_ids([item_id for item_id, _ in duplicates])), strict=True):
        if at >= 0:
            found[int(index.numbers[at])].append(duplicate)
    return found


def _ledger_paths(folder: Folder, run_id: str) -> Iterator[str]:
    """The largest first: where a crash left one beside those that it was merged from, these are the repeated ones."""
    files = sorted(folder.list(of_run(LEDGER, run_id)), key=lambda file: -file.size_bytes)
    return (file.path for file in files if file.path.endswith(".parquet"))


def _ledger_drafts(folder: Folder, paths: Iterable[str]) -> Iterator[_PartPlan]:
    for path in paths:
        with opened_ledger(folder, path) as file:
            rows = file.read(list(_KEYS))
            is_duplicate = pc.equal(rows["outcome"], RecordStatus.DUPLICATE.value)
            copied = (
                file.read(["item_id", "uris"]).filter(is_duplicate) if pc.any(is_duplicate).as_py() else _NO_DUPLICATES
            )
        duplicates = zip(copied["item_id"].to_pylist(), map(tuple, copied["uris"].to_pylist()), strict=True)
        yield _PartPlan(PurePosixPath(path).stem, (), Keys.of(*(rows[name] for name in _KEYS)), list(duplicates))


def _journal_drafts(
    folder: Folder, run_id: str, part_records: int, part_bytes: int, read_up_to: Mapping[str, int] | None = None
) -> Iterator[_PartPlan]:
    """Cut the segments into parts. Without `read_up_to` every byte lies in one span, what is torn included."""
    draft = _PartBuilder()
    for file in list_segments(folder, of_run(JOURNAL, run_id)):
        start = last = (read_up_to or {}).get(file.path, 0)
        if start and file.size_bytes <= start:
            continue
        for record, last in read_stored(folder, file.path, start, file.size_bytes, on_damage=pass_over):
            draft.add(record)
            if draft.records >= part_records or draft.size_bytes + last - start >= part_bytes:
                draft.end_span(file.path, start, last)
                yield draft.ended()
                draft, start = _PartBuilder(), last
        end = file.size_bytes if read_up_to is None else last
        if end > start or read_up_to is None:
            draft.end_span(file.path, start, end)
    if draft.spans:
        yield draft.ended()


class _PartBuilder:
    """A draft that records are added to."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.records = self.size_bytes = 0
        """Of the journal, as far as its spans go."""
        self._keys: list[Keys] = []
        self._rows: list[tuple[Any, ...]] = []
        self._duplicates: _Duplicates = []

    def add(self, record: JournalRecord) -> None:
        """Take one record."""
        self.records += 1
        self._rows.append(_keys_of(record))
        if record.outcome == _DUPLICATE:
            self._duplicates.append((record.item_id, record.uris))
        if len(self._rows) == _BATCH_ROWS:
            self._count()

    def end_span(self, path: str, start: int, end: int) -> None:
        """The records that were taken since the last span are from here."""
        self.spans.append(Span(path, start, end))
        self.size_bytes += end - start

    def ended(self) -> _PartPlan:
        """The draft."""
        self._count()
        return _PartPlan(None, tuple(self.spans), Keys.joined(self._keys), self._duplicates)

    def _count(self) -> None:
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(_KEYS)
        self._keys.append(Keys.of(*map(pa.array, columns, _TYPES)))
        self._rows = []
