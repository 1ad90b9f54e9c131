"""A run whose workers are gone -> its tables and its receipt, from what its journal and its ledger hold.

What a killed run did is durable, record by record; what it counted in memory is lost. So the counts come from files:
what was found from counts.json, which a backfill writes before its first call; what a watch gave out from pending.json;
what came of it from the records. What was found and has no record is deferred: the next run finds it. So closing a run
again gives the same, at whatever moment it was killed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from cardbeam.config.settings import Settings
from cardbeam.model.part import Part
from cardbeam.model.result import FOUND, Counts, RequestOutcome
from cardbeam.run_state.closing import begin_closing, end_closing
from cardbeam.run_state.counts import read_found
from cardbeam.run_state.receipt import Receipt, write_receipt
from cardbeam.storage.folder import Folder
from cardbeam.tables.parts.part_plan import plan_parts
from cardbeam.tables.publisher import Publisher
from cardbeam.watch.publishing.unprocessed import Unprocessed, unprocessed


def close_run(folder: Folder, settings: Settings, started_at: datetime, text: dict[str, Any]) -> Receipt:
    """Publish what a run left, and write its receipt, with the settings that the run wrote down as it began."""
    run_id = settings.output.run_id
    status = begin_closing(folder, run_id)
    found = read_found(folder, run_id)
    left = unprocessed(folder, run_id) if found is None else Unprocessed(0, 0)  # before the ledger repeats the journal

    def count(recorded: Counts) -> Counts:
        return closed_counts(recorded, found, left.in_flight + left.deferred)

    def write(output: Folder, made: Receipt) -> Receipt:
        return write_receipt(output, replace(made, status=status if made.reconciled else made.status, settings=text))

    receipt = Publisher(folder, settings, started_at).close(count, started_at, write)
    end_closing(folder, run_id)
    return receipt


def closed_counts(recorded: Counts, found: Mapping[str, int] | None, pending_requests: int) -> Counts:
    """The counts of a run's receipt, by what its records say and what it had found, as far as it had counted that.

    `recorded` tells apart the records of what an earlier run had processed. A run that counted nothing found at least
    what it recorded, and what it still had to do.
    """
    known = found or {}
    counts = dict(recorded)
    before = RequestOutcome.SKIPPED.value
    counts[before] = counts.get(before, 0) + known.get(before, 0)
    ended = sum(counts.values())
    counts[RequestOutcome.DEFERRED.value] = pending_requests if found is None else max(0, known[FOUND] - ended)
    counts[FOUND] = sum(counts.values())
    return counts


def has_late_records(folder: Folder, run_id: str) -> bool:
    """Whether the journal of a run that has ended holds what its ledger does not.

    A worker that was taken for lost may have been frozen: what it had paid for by then it still writes down.
    """
    return not all(_is_repeated(part) for part in plan_parts(folder, run_id))


def repeated_segments(folder: Folder, run_id: str) -> list[str]:
    """Segments of a run's journal whose records its ledger holds, every one: a kill came before they were removed."""
    parts = [part for part in plan_parts(folder, run_id) if part.spans]
    kept = {span.path for part in parts if not _is_repeated(part) for span in part.spans}
    return sorted({span.path for part in parts for span in part.spans} - kept)


def _is_repeated(part: Part) -> bool:
    """Whether the ledger holds all of its records, if it is one of the journal."""
    return not part.spans or (part.records or 0) <= len(part.repeated)
