"""The straight line, from inputs to the receipt."""

from __future__ import annotations

from datetime import datetime

import apache_beam as beam

from transforms.call_endpoint import CallEndpoint
from transforms.elements import Request
from transforms.end_run import EndRun
from transforms.find_cards import FindCards
from transforms.leave_out_answered import LeaveOutAnswered
from transforms.read_answers import ReadAnswers
from transforms.receipt import Receipt
from transforms.settings import Settings
from transforms.tally import Tally
from transforms.write_tables import WriteTables


def backfill(pipeline: beam.Pipeline, settings: Settings, started_at: datetime) -> beam.PCollection[Receipt]:
    """Everything that is not answered yet, as tables, dead letters and a receipt."""
    inputs = pipeline | "Inputs" >> beam.Create(settings.input.input)
    found: beam.PCollection[Request] = inputs | "Find cards" >> FindCards(settings.input)
    known = found | "Leave out what is answered" >> LeaveOutAnswered(settings)
    endings = known.left | "Call the endpoint" >> CallEndpoint(settings)
    tally = (found, known.before, endings) | "Tally" >> Tally()
    answers = tally | "Read the answers" >> ReadAnswers(settings.output)
    files = answers.rows | "Write tables" >> WriteTables(settings.output)
    return (tally, answers.counts, files) | "Write the receipt" >> EndRun(settings, started_at)
