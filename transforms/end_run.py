"""Counts and files of a run -> its Receipt: the last stage, which leaves the output in order.

In this order, so that a crash between any two steps costs nothing: tables without a row
get an empty file, files of an earlier attempt go, the receipt is written, and the journal
goes once the receipt names the files of the ledger that hold it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone

import apache_beam as beam
from apache_beam.pvalue import AsList

from schemas.arrow import schema_of
from schemas.tables import DEAD_LETTERS_SCHEMA, LEDGER_SCHEMA
from transforms.budget import BUDGET_FOLDER
from transforms.check_output import check_run
from transforms.closing import begin_closing, end_closing
from transforms.elements import Fate, PartCounts, WrittenFile
from transforms.frames import list_segments
from transforms.group_log import GROUPS
from transforms.heartbeat import HEARTBEATS, LEASES
from transforms.layout import (
    DEAD_LETTERS,
    DOCUMENT_TABLES,
    JOURNAL,
    LEDGER,
    RUNS,
    TABLES,
    of_run,
    run_file,
)
from transforms.read_parquet import opened_ledger
from transforms.receipt import (
    INTERRUPTED,
    Receipt,
    create_receipt,
    make_receipt,
    read_receipt,
    with_tables,
    write_receipt,
)
from transforms.run_lock import TakenOver, refuse_if_taken_over
from transforms.settings import OutputSettings, Settings
from transforms.stop import STOP_FILE, read_stop
from transforms.storage import TEMPORARY_SUFFIX, Folder, open_folder
from transforms.table_file import TableRows, open_parquet
from transforms.tally import Counts

_EMPTY_PART = "empty"
_SCHEMAS = {
    **{table: schema_of(name) for table, name in DOCUMENT_TABLES.items()},
    DEAD_LETTERS: DEAD_LETTERS_SCHEMA,
    LEDGER: LEDGER_SCHEMA,
}


class Overtaken(Exception):
    """A later attempt at the job has begun and makes the calls that are left: this one must not end the run."""


class EndRun(beam.PTransform):
    """(Counts, PartCounts, WrittenFiles) -> Receipt."""

    def __init__(self, settings: Settings, started_at: datetime) -> None:
        super().__init__()
        self._settings, self._started_at = settings, started_at

    def expand(
        self,
        ended: tuple[beam.PCollection[Counts], beam.PCollection[PartCounts], beam.PCollection[WrittenFile]],
    ) -> beam.PCollection[Receipt]:
        """Bring the counts of all parts and all files to one place."""
        tally, parts, files = ended
        return tally | "End" >> beam.Map(
            _end, self._settings, self._started_at, parts=AsList(parts), files=AsList(files)
        )


class TidyRuns(beam.PTransform):
    """(Run ids, PartCounts, WrittenFiles) -> Receipts, of those runs that have one."""

    def __init__(self, output: OutputSettings) -> None:
        super().__init__()
        self._output = output

    def expand(
        self, published: tuple[beam.PCollection[str], beam.PCollection[PartCounts], beam.PCollection[WrittenFile]]
    ) -> beam.PCollection[Receipt]:
        """Each run by itself."""
        run_ids, parts, files = published
        return run_ids | "Tidy" >> beam.FlatMap(_tidy, self._output, parts=AsList(parts), files=AsList(files))


def _end(
    tally: Counts, settings: Settings, started_at: datetime, parts: list[PartCounts], files: list[WrittenFile]
) -> Receipt:
    now = datetime.fromtimestamp(time.time(), timezone.utc)
    folder = open_folder(settings.output.output)
    refuse_if_taken_over(folder, settings.output.run_id)
    if tally.get(Fate.DEFERRED.value) and read_stop(folder, run_file(settings.output.run_id, STOP_FILE)) is None:
        raise Overtaken("requests were left to a later attempt, which ends the run")
    return end_run(folder, settings, tally, parts, files, started_at=started_at, finished_at=now, write=_write_own)


def _write_own(folder: Folder, receipt: Receipt) -> Receipt:
    """Write the receipt, unless the run was closed meanwhile by a launch that took this job for dead."""
    if not create_receipt(folder, receipt):
        there = read_receipt(folder, receipt.run_id)
        if there is not None and there.status == INTERRUPTED:
            raise TakenOver(f"another launch closed run {receipt.run_id}")
        write_receipt(folder, receipt)  # this bundle has run before
    return receipt


def end_run(
    folder: Folder,
    settings: Settings,
    tally: Counts,
    parts: list[PartCounts],
    files: list[WrittenFile],
    *,
    started_at: datetime,
    finished_at: datetime,
    write: Callable[[Folder, Receipt], Receipt] = write_receipt,
) -> Receipt:
    """Leave a run's output in order and have its receipt written; as it is then."""
    run_id = settings.output.run_id
    files = _all_files(folder, run_id, files)
    stop = read_stop(folder, run_file(run_id, STOP_FILE))
    receipt = make_receipt(settings, tally, parts, files, stop, started_at=started_at, finished_at=finished_at)
    if receipt.reconciled:
        folder.delete(_strays(folder, run_id, files))
    receipt = write(folder, receipt)
    if receipt.reconciled:
        folder.delete(_done_with(folder, run_id, parts))
    return receipt


def _tidy(run_id: str, output: OutputSettings, parts: list[PartCounts], files: list[WrittenFile]) -> Iterator[Receipt]:
    folder = open_folder(output.output)
    check_run(folder, run_id)  # again: what is deleted now may have been made of what is missing
    parts = [part for part in parts if part.run_id == run_id]
    files = _all_files(folder, run_id, [file for file in files if file.run_id == run_id])
    receipt = read_receipt(folder, run_id)
    if receipt is None:  # a run that has not ended gets its receipt when it does, and keeps its journal
        folder.delete(_strays(folder, run_id, files))
        return
    begin_closing(folder, run_id)
    folder.delete(_strays(folder, run_id, files))
    receipt = with_tables(receipt, parts, files)
    write_receipt(folder, receipt)
    folder.delete(_done_with(folder, run_id, parts))
    end_closing(folder, run_id)
    yield receipt


def _all_files(folder: Folder, run_id: str, written: list[WrittenFile]) -> list[WrittenFile]:
    """What was written now, the ledger files of earlier sessions, and an empty file for each table without a row."""
    files = [*written, *_ledger_files(folder, run_id, {file.path for file in written})]
    tables = {file.table for file in files}
    return [*files, *(_write_empty(folder, run_id, table) for table in TABLES if table not in tables)]


def _write_empty(folder: Folder, run_id: str, table: str) -> WrittenFile:
    """A file of columns alone, without a row group."""
    with open_parquet(folder, TableRows(table, run_id, _EMPTY_PART, _SCHEMAS[table].empty_table())) as file:
        pass
    return file.written


def _ledger_files(folder: Folder, run_id: str, written: set[str]) -> Iterator[WrittenFile]:
    for file in folder.list(of_run(LEDGER, run_id)):
        if file.path.endswith(".parquet") and file.path not in written:
            with opened_ledger(folder, file.path) as opened:
                rows = opened.metadata.num_rows
            if rows:  # an earlier session's empty file has had its day
                yield WrittenFile(run_id, LEDGER, file.path, rows, file.size_bytes)


def _strays(folder: Folder, run_id: str, files: Iterable[WrittenFile]) -> list[str]:
    """What an earlier attempt left in the tables."""
    valid = {file.path for file in files}
    return [found.path for table in TABLES for found in folder.list(of_run(table, run_id)) if found.path not in valid]


def _done_with(folder: Folder, run_id: str, parts: Iterable[PartCounts]) -> list[str]:
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
