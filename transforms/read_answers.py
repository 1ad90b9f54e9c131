"""Run -> TableRows: what the journal and the ledger hold, as typed rows by table.

A pure function of the answers: it can run again for a new schema, or after a crash,
without a call. A part is read in slices, whole columns at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.pvalue import TaggedOutput

from schemas.tables import LEDGER_SCHEMA
from transforms.elements import Part, PartCounts, Settled, SettledAs
from transforms.frames import FIELDS, read_stored
from transforms.layout import DEAD_LETTERS, LEDGER, parquet_file
from transforms.parse_answers import Parsed, parse_answers
from transforms.plan_parts import plan_parts
from transforms.settings import OutputSettings
from transforms.storage import Folder, open_folder

_COUNTS = "counts"
_ROWS_TOGETHER = 128
"""Records of a journal made columns at once: few enough that no garbage collection walks over them."""
_CHUNK_ROWS = 4096
"""Records in one piece of a column: a part as one piece would be in memory twice while it is made."""
_values_of = attrgetter(*FIELDS)


@dataclass(frozen=True, slots=True)
class TableRows:
    """The rows that a part gives one table."""

    table: str
    run_id: str
    part_name: str
    rows: pa.Table


class Answers(NamedTuple):
    """Rows by table, and what each part holds."""

    rows: beam.PCollection[TableRows]
    counts: beam.PCollection[PartCounts]


class ReadAnswers(beam.PTransform):
    """Run ids -> Answers. A run's id comes when all its answers are durable."""

    def __init__(self, settings: OutputSettings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, run_ids: beam.PCollection[str]) -> Answers:
        """Plan the parts, spread them, read each."""
        read = (
            run_ids
            | "Plan parts" >> beam.FlatMap(_plan, self._settings)
            | "Spread parts" >> beam.Reshuffle()
            | "Read parts" >> beam.ParDo(_ReadPartFn(self._settings)).with_outputs(_COUNTS, main="rows")
        )
        return Answers(read.rows, read[_COUNTS])


def _plan(run_id: str, settings: OutputSettings) -> list[Part]:
    return plan_parts(open_folder(settings.output), run_id)


class _ReadPartFn(beam.DoFn):
    def __init__(self, settings: OutputSettings) -> None:
        self._settings = settings

    def process(self, part: Part) -> Iterator[TableRows | TaggedOutput]:
        rows, counts = read_part(open_folder(self._settings.output), part)
        for table in sorted(rows, key=lambda table: -rows[table].nbytes):  # the largest goes first, and is let go
            yield TableRows(table, part.run_id, part.name, rows.pop(table))
        pa.default_memory_pool().release_unused()  # or what is kept of each part adds up
        yield TaggedOutput(_COUNTS, counts)


def read_part(folder: Folder, part: Part) -> tuple[dict[str, pa.Table], PartCounts]:
    """A part's rows by table, and its counts. A part from the journal gives its ledger rows too."""
    ledger = _from_journal(folder, part) if part.spans else _from_ledger(folder, part)
    keep = np.ones(len(ledger), bool)
    keep[list(part.repeated)] = False
    shown = keep.copy()
    shown[list(part.superseded)] = False
    kept = _rows(ledger, keep)
    is_answered = np.asarray(pc.equal(ledger["outcome"], SettledAs.ANSWERED.value))
    is_dead = np.asarray(pc.equal(ledger["outcome"], SettledAs.DEAD.value))
    answered = _rows(ledger, shown & is_answered)
    dead = _rows(ledger, shown & is_dead)
    parsed = parse_answers(answered, dict_of_copies(part))
    tables = dict(parsed.documents)
    dead_letters = pa.concat_tables([dead.select(parsed.dead_letters.column_names), parsed.dead_letters])
    if len(dead_letters):
        tables[DEAD_LETTERS] = dead_letters
    if part.spans and len(kept):
        tables[LEDGER] = kept
    return tables, _counts(part, kept, len(answered), parsed, dead_letters)


def _rows(table: pa.Table, mask: npt.NDArray[np.bool_]) -> pa.Table:
    """The rows of a mask; the table itself, not a copy, where these are all."""
    return table if mask.all() else table.filter(pa.array(mask))


def dict_of_copies(part: Part) -> dict[str, list[str]]:
    """The URIs of copies by item id."""
    copies: dict[str, list[str]] = {}
    for item_id, uris in part.copies:
        copies.setdefault(item_id, []).extend(uris)
    return copies


def _from_ledger(folder: Folder, part: Part) -> pa.Table:
    """A piece at a time: the whole would be in memory twice while it is read."""
    with folder.open(parquet_file(LEDGER, part.run_id, part.name)) as opened:
        file = pq.ParquetFile(opened)
        return pa.Table.from_batches(file.iter_batches(_CHUNK_ROWS, use_threads=False), file.schema_arrow)


def _from_journal(folder: Folder, part: Part) -> pa.Table:
    rows = (row for span in part.spans for row, _ in read_stored(folder, span.path, span.start, span.end))
    tables = [LEDGER_SCHEMA.empty_table()]
    while few := list(_tables(islice(rows, _CHUNK_ROWS))):
        tables.append(pa.concat_tables(few).combine_chunks())
    return pa.concat_tables(tables)


def _tables(rows: Iterator[list[Any]]) -> Iterator[pa.Table]:
    while together := list(islice(rows, _ROWS_TOGETHER)):
        yield _ledger_table(together)


def ledger_table(records: Sequence[Settled]) -> pa.Table:
    """Records as rows of the ledger."""
    return _ledger_table([_values_of(record) for record in records])


def _ledger_table(rows: Sequence[Sequence[Any]]) -> pa.Table:
    values: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(FIELDS)
    columns = dict(zip(FIELDS, values, strict=True))
    columns["labels"] = [[(key, value) for key, value in labels] for labels in columns["labels"]]
    return pa.table([columns[name] for name in LEDGER_SCHEMA.names], schema=LEDGER_SCHEMA)


def _counts(part: Part, kept: pa.Table, answered: int, parsed: Parsed, dead_letters: pa.Table) -> PartCounts:
    called = kept.filter(pc.greater(kept["attempts"], 0))
    calls_sent = pc.sum(called["attempts"]).as_py() or 0
    called_at_s = pc.divide(called["last_at"].cast(pa.int64()), 1e6)
    return PartCounts(
        run_id=part.run_id,
        spans=part.spans,
        answered=answered,
        dead=len(dead_letters) - len(parsed.dead_letters),
        without_row=parsed.without_row,
        calls_sent=calls_sent,
        calls_retried=calls_sent - len(called),
        dead_letters=_value_counts(dead_letters["code"]),
        calls_by_second=_value_counts(pc.floor(called_at_s).cast(pa.int64())),
        first_call_s=pc.min(pc.subtract(called_at_s, pc.coalesce(called["latency_s"], 0.0))).as_py(),
        last_call_s=pc.max(called_at_s).as_py(),
    )


def _value_counts(values: pa.ChunkedArray) -> tuple[tuple[Any, int], ...]:
    return tuple((counted["values"].as_py(), counted["counts"].as_py()) for counted in pc.value_counts(values))
