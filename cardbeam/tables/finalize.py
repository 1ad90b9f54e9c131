"""Leaves a run's output in order and writes its receipt.

In this order, so that a crash between any two steps costs nothing: tables without a row get an empty file, files that
an earlier receipt names are noted, others of an earlier attempt are removed, the receipt is written, the journal that
the ledger holds is removed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime

from cardbeam.config.settings import Settings
from cardbeam.journal.reader import list_segments
from cardbeam.model.part import PartCounts, WrittenFile
from cardbeam.model.result import Counts
from cardbeam.run_state.group_log import GROUPS
from cardbeam.run_state.layout import (
    BUDGET_FOLDER,
    DEAD_LETTERS,
    DOCUMENT_TABLES,
    HEARTBEATS,
    JOURNAL,
    LEASES,
    LEDGER,
    RUNS,
    TABLES,
    of_run,
    run_file,
)
from cardbeam.run_state.receipt import (
    Receipt,
    make_receipt,
    read_receipt,
    write_receipt,
)
from cardbeam.run_state.replaced_files import delete_due, named_files, note_replaced, replaced_files
from cardbeam.run_state.stop_signal import STOP_FILE, read_stop
from cardbeam.storage.folder import TEMPORARY_SUFFIX, Folder
from cardbeam.storage.read_parquet import opened_ledger, schema_fingerprint
from cardbeam.tables.files.table_file import TableRows, open_parquet
from schemas.document_tables import schema_of
from schemas.run_tables import DEAD_LETTERS_SCHEMA, LEDGER_SCHEMA

_EMPTY_PART = "empty"
_SCHEMAS = {
    **{table: schema_of(name) for table, name in DOCUMENT_TABLES.items()},
    DEAD_LETTERS: DEAD_LETTERS_SCHEMA,
    LEDGER: LEDGER_SCHEMA,
}


def finalize_run(
    folder: Folder,
    settings: Settings,
    outcome_counts: Counts,
    parts: list[PartCounts],
    files: list[WrittenFile],
    *,
    started_at: datetime,
    finished_at: datetime,
    replaced_at_s: float | None = None,
    obsolete: Iterable[str] = (),
    write: Callable[[Folder, Receipt], Receipt] = write_receipt,
) -> Receipt:
    """Leave a run's output in order and have its receipt written; as it is then.

    `obsolete` are ledger files whose rows others hold. What is replaced is so since `finished_at`, or another time.
    """
    run_id = settings.output.run_id
    now_s = finished_at.timestamp() if replaced_at_s is None else replaced_at_s
    before = named_files(read_receipt(folder, run_id))
    replaced = replaced_files(folder, run_id, before)
    files = all_files(folder, run_id, files, replaced.union(obsolete))
    stop = read_stop(folder, run_file(run_id, STOP_FILE))
    receipt = make_receipt(settings, outcome_counts, parts, files, stop, started_at=started_at, finished_at=finished_at)
    named = named_files(receipt)
    note_replaced(folder, run_id, before, named, now_s)
    if receipt.reconciled:
        folder.delete(strays(folder, run_id, {*named, *before, *replaced}))
    receipt = write(folder, receipt)
    if receipt.reconciled:
        folder.delete(done_with(folder, run_id, parts))
        delete_due(folder, run_id, named, now_s, settings.output.keep_replaced_s)
    return receipt


def all_files(
    folder: Folder, run_id: str, written: list[WrittenFile], replaced: Collection[str] = ()
) -> list[WrittenFile]:
    """What was written now, the ledger files of earlier sessions, and an empty file for each table without a row."""
    files = [*written, *_ledger_files(folder, run_id, {*(file.path for file in written), *replaced})]
    tables = {file.table for file in files}
    return [*files, *(_write_empty(folder, run_id, table) for table in TABLES if table not in tables)]


def _write_empty(folder: Folder, run_id: str, table: str) -> WrittenFile:
    """A file of columns alone, without a row group."""
    with open_parquet(folder, TableRows(table, run_id, _EMPTY_PART, _SCHEMAS[table].empty_table())) as file:
        pass
    return file.written


def _ledger_files(folder: Folder, run_id: str, known: set[str]) -> Iterator[WrittenFile]:
    for file in folder.list(of_run(LEDGER, run_id)):
        if file.path.endswith(".parquet") and file.path not in known:
            with opened_ledger(folder, file.path) as opened:
                rows, schema = opened.metadata.num_rows, schema_fingerprint(opened.schema_arrow)
            if rows:  # an earlier session's empty file has had its day
                yield WrittenFile(run_id, LEDGER, file.path, rows, file.size_bytes, schema)


def strays(folder: Folder, run_id: str, known: Collection[str]) -> list[str]:
    """What an earlier attempt left in the tables; `known` are the files that a receipt names, or named."""
    return [found.path for table in TABLES for found in folder.list(of_run(table, run_id)) if found.path not in known]


def done_with(folder: Folder, run_id: str, parts: Iterable[PartCounts]) -> list[str]:
    """The journal that the ledger holds, but for what is damaged, and what the workers told each other."""
    read_up_to: dict[str, int] = defaultdict(int)
    for part in parts:
        for span in part.spans:
            read_up_to[span.path] = max(read_up_to[span.path], span.end)
    damaged = {path for part in parts for path, _ in part.damaged}
    segments = [found for found in list_segments(folder, of_run(JOURNAL, run_id)) if found.path not in damaged]
    read = [found.path for found in segments if found.size_bytes == read_up_to[found.path]]
    return [*read, *_of_workers(folder, run_id)]


def _of_workers(folder: Folder, run_id: str) -> Iterator[str]:
    """What the workers told each other while they called, and files that a killed process left half written."""
    for found in folder.list(f"{RUNS}/{run_id}"):
        steps = found.path.split("/")
        if {LEASES, HEARTBEATS, BUDGET_FOLDER, GROUPS}.intersection(steps) or found.path.endswith(TEMPORARY_SUFFIX):
            yield found.path
