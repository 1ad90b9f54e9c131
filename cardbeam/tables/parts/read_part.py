"""Part -> slices of its rows by table, with what each holds: a few MB in memory at a time, whole columns at once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice, starmap
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cardbeam.journal.reader import read_stored
from cardbeam.model.part import Part, PartCounts
from cardbeam.model.record import JournalRecord, RecordStatus
from cardbeam.model.request import input_id_of
from cardbeam.run_state.layout import DEAD_LETTERS, LEDGER, parquet_file
from cardbeam.storage.damaged_file import DamagedFile, OnDamage
from cardbeam.storage.folder import Folder
from cardbeam.storage.read_parquet import opened_ledger
from cardbeam.tables.files.parquet_options import batched
from cardbeam.tables.parsing.group_by_type import ResponsesByType
from cardbeam.tables.parsing.parse import RESPONSE_COLUMNS, parse_responses
from cardbeam.tables.parsing.redacted import redacted_dead_letters
from cardbeam.tables.parts.kept_rows import has_dropped_response, kept_rows
from schemas.run_tables import DEAD_LETTERS_SCHEMA, LEDGER_SCHEMA

SLICE_ROWS = 2048
SLICE_BYTES = 1280 * 1024
"""Bounds of one slice, which is in memory several times over while it is parsed; a smaller one costs more CPU."""
_JOURNAL_BATCH = 128
"""Records of a journal made columns at once: few enough that no garbage collection walks over them."""
_GONE = [RecordStatus.ERASED.value, RecordStatus.FORGOTTEN.value]
_Rows = npt.NDArray[np.int64]
_FIELDS = JournalRecord.__struct_fields__
_values_of = attrgetter(*_FIELDS)


@dataclass(frozen=True, slots=True)
class Slice:
    """Some rows of a part by table, and what they hold."""

    tables: dict[str, pa.Table]
    counts: PartCounts


def read_part(
    folder: Folder, part: Part, slice_rows: int = SLICE_ROWS, *, with_ledger: bool = False
) -> Iterator[Slice]:
    """A part slice by slice. A part from the journal gives its ledger rows too, any other one if these are asked for.

    None is held here while the next is read: whoever takes one lets it go before.
    """
    reader = _Reader(folder, part, with_ledger=with_ledger or bool(part.spans))
    from_journal = partial(_from_journal, on_damage=reader.record_damage)
    ledger = (from_journal if part.spans else _from_ledger)(folder, part, slice_rows)
    return chain(chain.from_iterable(map(reader.read, ledger)), reader.rest())


def add_up(part: Part, counts: Sequence[PartCounts]) -> PartCounts:
    """The counts of a part, of those of all its slices."""
    return PartCounts(
        part.run_id,
        part.spans,
        answered=sum(one.answered for one in counts),
        failed=sum(one.failed for one in counts),
        without_row=sum(one.without_row for one in counts),
        erased=sum(one.erased for one in counts),
        calls_sent=sum(one.calls_sent for one in counts),
        calls_retried=sum(one.calls_retried for one in counts),
        dead_letters=_merged(one.dead_letters for one in counts),
        calls_by_second=_merged(one.calls_by_second for one in counts),
        first_call_s=min((one.first_call_s for one in counts if one.first_call_s is not None), default=None),
        last_call_s=max((one.last_call_s for one in counts if one.last_call_s is not None), default=None),
        damaged=_merged(one.damaged for one in counts),
    )


def _merged(counted: Iterable[Iterable[tuple[Any, int]]]) -> tuple[tuple[Any, int], ...]:
    total: Counter[Any] = Counter()
    for counts in counted:
        total.update(dict(counts))
    return tuple(total.items())


class _Reader:
    """Reads the slices of a part, one after the other."""

    def __init__(self, folder: Folder, part: Part, *, with_ledger: bool) -> None:
        self._folder, self._part, self._at, self._responses = folder, part, 0, ResponsesByType()
        self._kept: set[str] = set()
        """Items whose responses are no longer kept: their rows stay as they are."""
        self._with_ledger = with_ledger
        self._repeated, self._superseded = _in_order(part.repeated), _in_order(part.superseded)
        self._duplicates: dict[str, list[str]] = defaultdict(list)
        """URIs by item id."""
        self._damaged: list[tuple[str, int]] = []
        for item_id, uris in part.duplicates:
            self._duplicates[item_id] += uris

    def record_damage(self, error: DamagedFile) -> None:
        """Note a segment that is damaged; what is whole of it is read."""
        self._damaged.append((error.path, error.records))

    def read(self, ledger: pa.Table) -> Iterator[Slice]:
        """The next rows of the ledger with their dead letters, then the documents of which there are enough by now."""
        part = self._part
        keep = _all_but(self._repeated, self._at, len(ledger))
        shown = keep & _all_but(self._superseded, self._at, len(ledger))
        self._at += len(ledger)
        is_answered = np.asarray(pc.equal(ledger["outcome"], RecordStatus.SUCCEEDED.value))
        is_dead = np.asarray(pc.equal(ledger["outcome"], RecordStatus.FAILED.value))
        is_kept = shown & np.asarray(has_dropped_response(ledger))
        self._kept.update(ledger["item_id"].filter(pa.array(is_kept)).to_pylist())
        answered = _rows(ledger.select(RESPONSE_COLUMNS), shown & is_answered & ~is_kept)
        letters = ledger.select(DEAD_LETTERS_SCHEMA.names).replace_schema_metadata().cast(DEAD_LETTERS_SCHEMA)
        failed = redacted_dead_letters(_rows(letters, shown & is_dead))
        kept = _rows(ledger, keep)
        counts = replace(
            _calls(part, kept),
            answered=len(answered) + int(is_kept.sum()),
            failed=len(failed),
            erased=_count_erased(kept),
            dead_letters=_value_counts(failed["code"]),
        )
        yield Slice(_filled({**({LEDGER: kept} if self._with_ledger else {}), DEAD_LETTERS: failed}), counts)
        yield from starmap(self._documents, self._responses.add(answered))

    def rest(self) -> Iterator[Slice]:
        """The documents that waited for more of their type, and what was damaged.

        Raises:
            DamagedFile: there are not as many rows as were planned: which of them tables show is not known.
        """
        part = self._part
        if part.records not in (None, self._at):
            path = part.spans[0].path if part.spans else parquet_file(LEDGER, part.run_id, part.name)
            raise DamagedFile.of(path, f"held {part.records:,} records when it was read first, now {self._at:,}")
        yield from starmap(self._documents, self._responses.rest())
        yield from self._kept_rows()
        for path, records in self._damaged:
            yield Slice({}, PartCounts(part.run_id, part.spans, damaged=((path, records),)))

    def _kept_rows(self) -> Iterator[Slice]:
        part, without = self._part, set(self._kept)
        for table, rows in kept_rows(self._folder, part.run_id, self._kept) if self._kept else ():
            codes = _value_counts(rows["code"]) if table == DEAD_LETTERS else ()
            if table != DEAD_LETTERS:
                without.difference_update(rows["item_id"].to_pylist())
            yield Slice(_filled({table: rows}), PartCounts(part.run_id, part.spans, dead_letters=codes))
        yield Slice({}, PartCounts(part.run_id, part.spans, without_row=len(without)))

    def _documents(self, document_type: str, answered: pa.Table) -> Slice:
        parsed = parse_responses(answered, document_type, self._duplicates)
        failed = redacted_dead_letters(parsed.dead_letters)
        counts = PartCounts(
            self._part.run_id,
            self._part.spans,
            without_row=parsed.without_row,
            dead_letters=_value_counts(failed["code"]),
        )
        return Slice(_filled({**parsed.documents, DEAD_LETTERS: failed}), counts)


def _filled(tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
    return {table: rows for table, rows in tables.items() if len(rows)}


def _in_order(rows: frozenset[int]) -> _Rows:
    return np.array(sorted(rows), np.int64)


def _all_but(rows: _Rows, start: int, count: int) -> npt.NDArray[np.bool_]:
    """A mask of the rows from `start` on, without some."""
    first, last = np.searchsorted(rows, (start, start + count))
    mask = np.ones(count, bool)
    mask[rows[first:last] - start] = False
    return mask


def _rows(table: pa.Table, mask: npt.NDArray[np.bool_]) -> pa.Table:
    """The rows of a mask; the table itself, not a copy, where these are all."""
    return table if mask.all() else table.filter(pa.array(mask))


def _from_ledger(folder: Folder, part: Part, slice_rows: int) -> Iterator[pa.Table]:
    with opened_ledger(folder, parquet_file(LEDGER, part.run_id, part.name)) as file:
        yield from map(_table_of, file.iter_batches(slice_rows, use_threads=False))


def _table_of(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])


def _from_journal(folder: Folder, part: Part, slice_rows: int, on_damage: OnDamage) -> Iterator[pa.Table]:
    spans = (read_stored(folder, span.path, span.start, span.end, on_damage=on_damage) for span in part.spans)
    records = (record for read in spans for record, _ in read)
    tables = _tables(records, min(slice_rows, _JOURNAL_BATCH))
    return map(pa.Table.combine_chunks, batched(tables, slice_rows, SLICE_BYTES))


def _tables(records: Iterator[JournalRecord], batch_rows: int) -> Iterator[pa.Table]:
    while few := list(islice(records, batch_rows)):
        yield ledger_table(few)


def ledger_table(records: Sequence[JournalRecord]) -> pa.Table:
    """Records as rows of the ledger."""
    values: list[Sequence[Any]] = list(zip(*map(_values_of, records), strict=True)) if records else [()] * len(_FIELDS)
    columns = dict(zip(_FIELDS, values, strict=True))
    columns["input_id"] = list(
        map(input_id_of, *(columns[name] for name in ("source_id", "item_id", "uris", "labels")))
    )
    return pa.table([columns[name] for name in LEDGER_SCHEMA.names], schema=LEDGER_SCHEMA)


def _calls(part: Part, kept: pa.Table) -> PartCounts:
    called = kept.filter(pc.greater(kept["attempts"], 0))
    calls_sent = pc.sum(called["attempts"]).as_py() or 0
    called_at_s = pc.divide(called["completed_at"].cast(pa.int64()), 1e6)
    return PartCounts(
        run_id=part.run_id,
        spans=part.spans,
        calls_sent=calls_sent,
        calls_retried=calls_sent - len(called),
        calls_by_second=_value_counts(pc.floor(called_at_s).cast(pa.int64())),
        first_call_s=pc.min(pc.subtract(called_at_s, pc.coalesce(called["latency_s"], 0.0))).as_py(),
        last_call_s=pc.max(called_at_s).as_py(),
    )


def _count_erased(kept: pa.Table) -> int:
    """Rows that stand for a request of their run; `stage` says as what it was counted before."""
    is_gone = pc.is_in(kept["outcome"], value_set=pa.array(_GONE))
    return pc.sum(pc.and_(is_gone, pc.is_valid(kept["stage"]))).as_py() or 0


def _value_counts(values: pa.ChunkedArray) -> tuple[tuple[Any, int], ...]:
    return tuple((counted["values"].as_py(), counted["counts"].as_py()) for counted in pc.value_counts(values))
