"""The straight line, from inputs to the receipt; and the parts of it that other commands run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import apache_beam as beam

from cardbeam.config.settings import OutputSettings, Settings, WatchSettings
from cardbeam.model.result import Counts
from cardbeam.run_state.receipt import Receipt
from cardbeam.run_state.run_lock import refuse_if_taken_over
from cardbeam.storage.folder import open_folder
from transforms.call_endpoint import CallEndpoint
from transforms.count_results import CountInputs, CountResults
from transforms.filter_processed import FilterProcessed
from transforms.finalize_run import FinalizeRun, RefreshReceipts
from transforms.list_dead_letters import ListDeadLetters
from transforms.list_inputs import ListedInputs, ListInputs
from transforms.parse_responses import ParseResponses
from transforms.shared_index import SharedIndex
from transforms.watch_inputs import Drain, WatchInputs
from transforms.write_tables import WriteTables


def backfill(pipeline: beam.Pipeline, settings: Settings, started_at: datetime) -> beam.PCollection[Receipt]:
    """Everything that is not answered yet, as tables, dead letters and a receipt."""
    inputs = pipeline | "Inputs" >> beam.Create(settings.input.input)
    found = inputs | "Find cards" >> ListInputs(settings.input)
    return _answer(found, settings, started_at)


def replay(pipeline: beam.Pipeline, settings: Settings, started_at: datetime) -> beam.PCollection[Receipt]:
    """The dead letters of past runs again, as a run of its own."""
    start = pipeline | "Start" >> beam.Create([None])
    found = start | "Find dead letters" >> ListDeadLetters(settings)
    return _answer(found, settings, started_at)


def watch(pipeline: beam.Pipeline, settings: Settings, watching: WatchSettings, session: str) -> None:
    """New images as they appear, up to the journal; from there the launching process publishes them as they come."""
    index = SharedIndex(settings)
    start = pipeline | "Start" >> beam.Impulse()
    left = start | "Watch the inputs" >> WatchInputs(settings, watching, session, index)
    results = left | "Call the endpoint" >> CallEndpoint(settings, index)
    results | "Drain" >> Drain()


def _answer(found: ListedInputs, settings: Settings, started_at: datetime) -> beam.PCollection[Receipt]:
    index = SharedIndex(settings)
    known = found.requests | "Leave out what is answered" >> FilterProcessed(settings.input, index)
    listed = (found.counted, known.counted) | "Count found" >> CountInputs(settings.output)
    results = known.left | "Call the endpoint" >> CallEndpoint(settings, index, after=listed)
    outcome_counts = (found.counted, known.counted, results) | "CountResults" >> CountResults()
    durable = outcome_counts | "All answers are durable" >> beam.Map(_own_run, settings.output)
    answers = durable | "Read the answers" >> ParseResponses(settings.output)
    files = answers.files | "Write tables" >> WriteTables(settings.output)
    return (outcome_counts, answers.counts, files) | "Write the receipt" >> FinalizeRun(settings, started_at)


def _own_run(_: Counts, output: OutputSettings) -> str:
    refuse_if_taken_over(open_folder(output.output), output.run_id)
    return output.run_id


def publish(pipeline: beam.Pipeline, output: OutputSettings, run_ids: Sequence[str]) -> None:
    """The tables of past runs again, from the answers that are held."""
    runs = pipeline | "Runs" >> beam.Create(run_ids)
    answers = runs | "Read the answers" >> ParseResponses(output)
    files = answers.files | "Write tables" >> WriteTables(output)
    (runs, answers.counts, files) | "Tidy" >> RefreshReceipts(output)
