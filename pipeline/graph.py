"""The straight line, from inputs to the receipt; and the parts of it that other verbs run."""

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
from transforms.count_results import CountFound, Tally
from transforms.filter_processed import LeaveOutAnswered
from transforms.finalize_run import EndRun, TidyRuns
from transforms.list_dead_letters import FindDeadLetters
from transforms.list_inputs import FindCards, Found
from transforms.parse_responses import ReadAnswers
from transforms.shared_index import SharedAnswered
from transforms.watch_inputs import Drain, WatchInputs
from transforms.write_tables import WriteTables


def backfill(pipeline: beam.Pipeline, settings: Settings, started_at: datetime) -> beam.PCollection[Receipt]:
    """Everything that is not answered yet, as tables, dead letters and a receipt."""
    inputs = pipeline | "Inputs" >> beam.Create(settings.input.input)
    found = inputs | "Find cards" >> FindCards(settings.input)
    return _answer(found, settings, started_at)


def replay(pipeline: beam.Pipeline, settings: Settings, started_at: datetime) -> beam.PCollection[Receipt]:
    """The dead letters of past runs once more, as a run of its own."""
    start = pipeline | "Start" >> beam.Create([None])
    found = start | "Find dead letters" >> FindDeadLetters(settings)
    return _answer(found, settings, started_at)


def watch(pipeline: beam.Pipeline, settings: Settings, watching: WatchSettings, session: str) -> None:
    """New pictures as they appear, up to the journal; from there the launching process publishes them as they come."""
    answered = SharedAnswered(settings)
    start = pipeline | "Start" >> beam.Impulse()
    left = start | "Watch the inputs" >> WatchInputs(settings, watching, session, answered)
    endings = left | "Call the endpoint" >> CallEndpoint(settings, answered)
    endings | "Drain" >> Drain()


def _answer(found: Found, settings: Settings, started_at: datetime) -> beam.PCollection[Receipt]:
    answered = SharedAnswered(settings)
    known = found.requests | "Leave out what is answered" >> LeaveOutAnswered(settings.input, answered)
    listed = (found.counted, known.counted) | "Count found" >> CountFound(settings.output)
    endings = known.left | "Call the endpoint" >> CallEndpoint(settings, answered, after=listed)
    tally = (found.counted, known.counted, endings) | "Tally" >> Tally()
    durable = tally | "All answers are durable" >> beam.Map(_own_run, settings.output)
    answers = durable | "Read the answers" >> ReadAnswers(settings.output)
    files = answers.files | "Write tables" >> WriteTables(settings.output)
    return (tally, answers.counts, files) | "Write the receipt" >> EndRun(settings, started_at)


def _own_run(_: Counts, output: OutputSettings) -> str:
    refuse_if_taken_over(open_folder(output.output), output.run_id)
    return output.run_id


def publish(pipeline: beam.Pipeline, output: OutputSettings, run_ids: Sequence[str]) -> None:
    """The tables of past runs again, from the answers that are held."""
    runs = pipeline | "Runs" >> beam.Create(run_ids)
    answers = runs | "Read the answers" >> ReadAnswers(output)
    files = answers.files | "Write tables" >> WriteTables(output)
    (runs, answers.counts, files) | "Tidy" >> TidyRuns(output)
