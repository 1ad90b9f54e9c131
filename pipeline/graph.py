"""The graphs of the commands, each as a line from its inputs to its receipts: the table of contents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import apache_beam as beam

from cardbeam.config.settings import OutputSettings, Settings, WatchSettings
from cardbeam.run_state.receipt import Receipt
from transforms.call_endpoint import CallEndpoint, ProcessRequests
from transforms.filter_processed import FilterProcessed
from transforms.finalize_run import FinalizeRun, RefreshReceipts
from transforms.list_dead_letters import ListDeadLetters
from transforms.list_inputs import ListedInputs, ListInputs
from transforms.parse_responses import ParseResponses
from transforms.publish_tables import Drain, MarkDrained, PublishTables
from transforms.shared_index import SharedIndex
from transforms.watch_inputs import WatchInputs
from transforms.write_tables import WriteTables


def backfill(pipeline: beam.Pipeline, settings: Settings, started_at: datetime) -> beam.PCollection[Receipt]:
    """List image URIs and process those without a result: tables by document type, dead letters and a receipt."""
    inputs = pipeline | "Inputs" >> beam.Create(settings.input.input).with_output_types(str)
    listed = inputs | "List inputs" >> ListInputs(settings.input)
    return _process(listed, settings, started_at)


def replay(pipeline: beam.Pipeline, settings: Settings, started_at: datetime) -> beam.PCollection[Receipt]:
    """The same for the dead letters of past runs, as a run of its own."""
    listed = pipeline | beam.Impulse() | "List dead letters" >> ListDeadLetters(settings)
    return _process(listed, settings, started_at)


def _process(listed: ListedInputs, settings: Settings, started_at: datetime) -> beam.PCollection[Receipt]:
    """Filter, call, parse, split by document type, write, finalize."""
    index = SharedIndex(settings)
    pending = listed.requests | "Filter processed" >> FilterProcessed(settings.input, index)
    called = (pending.groups, (listed.found, pending.skipped)) | "Call endpoint" >> CallEndpoint(settings, index)
    parsed = called.durable | "Parse responses" >> ParseResponses(settings.output)
    rows_by_type, dead_letters, ledger = parsed.documents, parsed.dead_letters, parsed.ledger
    files = (rows_by_type, dead_letters, ledger) | "Write tables" >> WriteTables(settings.output)
    return (called.counts, parsed.counts, files) | "Finalize run" >> FinalizeRun(settings, started_at)


def publish(pipeline: beam.Pipeline, output: OutputSettings, run_ids: Sequence[str]) -> beam.PCollection[Receipt]:
    """Rebuild the tables of past runs from stored responses; no call is made."""
    runs = pipeline | "Runs" >> beam.Create(run_ids).with_output_types(str)
    parsed = runs | "Parse responses" >> ParseResponses(output)
    files = (parsed.documents, parsed.dead_letters, parsed.ledger) | "Write tables" >> WriteTables(output)
    return (runs, parsed.counts, files) | "Refresh receipts" >> RefreshReceipts(output)


def watch(
    pipeline: beam.Pipeline, settings: Settings, watching: WatchSettings, session: str, started_at: datetime
) -> None:
    """Process new images as they appear, and publish what the journal holds of them; both until the run is to end."""
    index = SharedIndex(settings)
    groups = pipeline | beam.Impulse() | "Watch inputs" >> WatchInputs(settings, watching, session, index)
    results = groups | "Process" >> ProcessRequests(settings, index)
    _ = results | "Mark drained" >> MarkDrained(settings.output, session)
    publish = PublishTables(settings, watching, session, started_at)
    _ = pipeline | "Publisher" >> beam.Impulse() | "Publish tables" >> publish | "Drain" >> Drain()
