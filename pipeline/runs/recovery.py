"""What a launch does before its own run: closes every run that has not ended and has no living worker.

Whoever holds the output's lock knows that nobody else works on it. A run is closed by its files alone, so it does not
matter which command began it, with which options, or how often closing it was killed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timezone

import pyarrow as pa

from cardbeam.config.settings import EndpointSettings, InputSettings, OutputSettings, RateSettings, Settings
from cardbeam.errors import CardbeamError
from cardbeam.journal.reader import list_segments
from cardbeam.model.result import FOUND, RequestOutcome
from cardbeam.periodic import safe_message
from cardbeam.run_state.closing import CLOSING_FILE
from cardbeam.run_state.layout import DEAD_LETTERS, DOCUMENTS, JOURNAL, LEDGER, RUNS, is_waiting_file, run_id_of
from cardbeam.run_state.receipt import RECEIPT_FILE, Receipt
from cardbeam.storage.folder import TEMPORARY_SUFFIX, Folder
from cardbeam.watch.publishing.close_run import close_run, has_late_records, repeated_segments
from pipeline.cli.exit_codes import innermost
from pipeline.runs.registry import RUN_FILE, Run, read_run, receipts

_LOG = logging.getLogger("cardbeam")
_DAMAGE = (OSError, ValueError, KeyError, TypeError, pa.ArrowException)
"""What reading files raises that are damaged, or not ours."""


class NotClosed(CardbeamError, OSError):
    """A run that did not end could not be closed."""


def close_unfinished_runs(folder: Folder) -> list[Receipt]:
    """Publish what unfinished runs left, and give each its receipt; the receipts.

    Raises:
        NotClosed: a run's files cannot be read or written; the message names the run.
    """
    closed = [_closed(folder, run_id) for run_id in unfinished_runs(folder)]
    folder.delete([*_half_written(folder), *_repeated(folder)])
    return closed


def unfinished_runs(folder: Folder) -> Iterator[str]:
    """Runs without a receipt that says that they ended, and runs whose journal got records after it, by name."""
    paths = [file.path.split("/") for file in folder.list(RUNS)]
    about = {name: {path[1] for path in paths if path[2:] == [name]} for name in (RUN_FILE, RECEIPT_FILE, CLOSING_FILE)}
    ledgers = {run_id_of(file.path) for file in folder.list(LEDGER)}
    journals = {run_id_of(file.path) for file in list_segments(folder, JOURNAL)}
    ended = {run_id for run_id, one in receipts(folder, about[RECEIPT_FILE]).items() if one.has_ended}
    for run_id in sorted(filter(None, about[RUN_FILE] | ledgers | journals)):
        is_whole = run_id in ended - about[CLOSING_FILE]
        if not is_whole or (run_id in journals and has_late_records(folder, run_id)):
            yield run_id


def _repeated(folder: Folder) -> Iterator[str]:
    """Segments of the journal that a kill left behind the receipt; those of a run that does not add up are kept."""
    left = {run_id for file in list_segments(folder, JOURNAL) if (run_id := run_id_of(file.path))}
    for run_id, receipt in receipts(folder, left).items():
        if receipt.has_ended and receipt.reconciled:
            yield from repeated_segments(folder, run_id)


def _half_written(folder: Folder) -> Iterator[str]:
    """Files that a killed command was writing, which no receipt will name."""
    for table in (DOCUMENTS, DEAD_LETTERS, LEDGER):
        for file in folder.list(table):
            if is_waiting_file(file.path) or file.path.endswith(TEMPORARY_SUFFIX):
                yield file.path


def _closed(folder: Folder, run_id: str) -> Receipt:
    _LOG.info("run %s did not end: publishing what it left", run_id)
    try:
        run = read_run(folder, run_id) or _unknown(run_id)
        receipt = close_run(folder, _settings_of(folder, run), run.began, run.settings)
    except _DAMAGE as error:
        raise NotClosed(
            f"run {run_id} did not end, and cannot be closed: {safe_message(innermost(error))}. No call was made. "
            "Mend its files, then rerun the same command"
        ) from error
    requests = receipt.requests
    _LOG.info(
        "run %s: %s, %d found, %d answered, %d failed, %d deferred",
        run_id,
        receipt.status,
        *(
            requests[name]
            for name in (
                FOUND,
                RequestOutcome.SUCCEEDED.value,
                RequestOutcome.DEAD_LETTERED.value,
                RequestOutcome.DEFERRED.value,
            )
        ),
    )
    return receipt


def _unknown(run_id: str) -> Run:
    """A run of which only records are left."""
    return Run(run_id, "", datetime.fromtimestamp(0, timezone.utc).isoformat())


def _settings_of(folder: Folder, run: Run) -> Settings:
    """As much as the receipt counts with."""
    rate = RateSettings(max_requests_per_second=run.allowed_per_s, price_per_call=run.price_per_call)
    return Settings(InputSettings(), EndpointSettings(), rate, OutputSettings(folder.root, run.run_id))
