"""Counts and files of a run -> its Receipt: the last stage, which leaves the output in order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timezone

import apache_beam as beam
from apache_beam.pvalue import AsList
from apache_beam.typehints import with_input_types, with_output_types

from cardbeam.config.settings import OutputSettings, Settings
from cardbeam.errors import CardbeamError
from cardbeam.model.part import PartCounts, WrittenFile
from cardbeam.model.result import Counts, RequestOutcome
from cardbeam.run_state.closing import begin_closing, end_closing
from cardbeam.run_state.layout import (
    run_file,
)
from cardbeam.run_state.liveness.run_lock import TakenOver, refuse_if_taken_over
from cardbeam.run_state.receipt import (
    INTERRUPTED,
    Receipt,
    create_receipt,
    read_receipt,
    with_tables,
    write_receipt,
)
from cardbeam.run_state.replaced_files import delete_due, named_files, note_replaced, replaced_files
from cardbeam.run_state.stop_signal import STOP_FILE, read_stop
from cardbeam.storage.folder import Folder
from cardbeam.tables.check_output import check_run
from cardbeam.tables.finalize import all_files, done_with, finalize_run, strays


class AttemptSuperseded(CardbeamError):
    """A later attempt at the job has begun and makes the calls that are left: this one must not end the run."""


@with_input_types(Counts, PartCounts, WrittenFile)
@with_output_types(Receipt)
class FinalizeRun(beam.PTransform):
    """(Counts, PartCounts, WrittenFiles) -> Receipt."""

    def __init__(self, settings: Settings, started_at: datetime) -> None:
        super().__init__()
        self._settings, self._started_at = settings, started_at

    def expand(
        self,
        ended: tuple[beam.PCollection[Counts], beam.PCollection[PartCounts], beam.PCollection[WrittenFile]],
    ) -> beam.PCollection[Receipt]:
        """Bring the counts of all parts and all files to one place."""
        outcome_counts, parts, files = ended
        end = beam.Map(_end, self._settings, self._started_at, parts=AsList(parts), files=AsList(files))
        return outcome_counts | "End" >> end.with_output_types(Receipt)


@with_input_types(str, PartCounts, WrittenFile)
@with_output_types(Receipt)
class RefreshReceipts(beam.PTransform):
    """(Ids of runs, PartCounts, WrittenFiles) -> Receipts, of those runs that have one."""

    def __init__(self, output: OutputSettings) -> None:
        super().__init__()
        self._output = output

    def expand(
        self, published: tuple[beam.PCollection[str], beam.PCollection[PartCounts], beam.PCollection[WrittenFile]]
    ) -> beam.PCollection[Receipt]:
        """Each run by itself."""
        run_ids, parts, files = published
        refresh = beam.FlatMap(_refresh, self._output, parts=AsList(parts), files=AsList(files))
        return run_ids | "Refresh" >> refresh.with_output_types(Receipt)


def _end(
    outcome_counts: Counts, settings: Settings, started_at: datetime, parts: list[PartCounts], files: list[WrittenFile]
) -> Receipt:
    now = datetime.fromtimestamp(time.time(), timezone.utc)
    folder = settings.output.folder()
    refuse_if_taken_over(folder, settings.output.run_id)
    if (
        outcome_counts.get(RequestOutcome.DEFERRED.value)
        and read_stop(folder, run_file(settings.output.run_id, STOP_FILE)) is None
    ):
        raise AttemptSuperseded("requests were left to a later attempt, which ends the run")
    return finalize_run(
        folder, settings, outcome_counts, parts, files, started_at=started_at, finished_at=now, write=_write_own
    )


def _write_own(folder: Folder, receipt: Receipt) -> Receipt:
    """Write the receipt, unless the run was closed meanwhile by a launch that took this job for lost."""
    if not create_receipt(folder, receipt):
        there = read_receipt(folder, receipt.run_id)
        if there is not None and there.status == INTERRUPTED:
            raise TakenOver(f"another launch closed run {receipt.run_id}")
        write_receipt(folder, receipt)  # this bundle has run before
    return receipt


def _refresh(
    run_id: str, output: OutputSettings, parts: list[PartCounts], files: list[WrittenFile]
) -> Iterator[Receipt]:
    folder = output.folder()
    check_run(folder, run_id)  # again: what is deleted now may have been made of what is missing
    parts = [part for part in parts if part.run_id == run_id]
    receipt = read_receipt(folder, run_id)
    before = named_files(receipt)
    replaced = replaced_files(folder, run_id, before)
    files = all_files(folder, run_id, [file for file in files if file.run_id == run_id], replaced)
    if receipt is None:  # a run that has not ended gets its receipt when it does, and keeps its journal
        folder.delete(strays(folder, run_id, {file.path for file in files}))
        return
    begin_closing(folder, run_id)
    receipt = with_tables(receipt, parts, files)
    named, now_s = named_files(receipt), time.time()
    note_replaced(folder, run_id, before, named, now_s)
    write_receipt(folder, receipt)
    folder.delete([*strays(folder, run_id, {*named, *before, *replaced}), *done_with(folder, run_id, parts)])
    delete_due(folder, run_id, named, now_s, output.keep_replaced_s)
    end_closing(folder, run_id)
    yield receipt
