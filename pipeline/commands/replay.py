"""`replay`: dead letters of past runs again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import takewhile
from operator import attrgetter

import apache_beam as beam

from cardbeam.config.settings import (
    EndpointSettings,
    InputSettings,
    LaunchSettings,
    OutputSettings,
    RateSettings,
    ReplaySettings,
    ReportingSettings,
    Settings,
)
from cardbeam.inputs.dead_letters import has_dead_letters
from cardbeam.inputs.transcode import can_read_heic
from cardbeam.run_state.receipt import INTERRUPTED, Receipt
from cardbeam.storage.folder import Folder, open_folder
from pipeline import graph
from pipeline.cli.exit_codes import UsageError
from pipeline.cli.options import parse
from pipeline.launch.batch_run import launch
from pipeline.runs.registry import check_runs, read_run, receipts, run_ids, runs_with_answers


def main(arguments: Sequence[str]) -> int:
    """Send the dead letters of past runs again, each once, in one pass; what was answered since is left out."""
    groups = (ReplaySettings, EndpointSettings, RateSettings, OutputSettings, ReportingSettings, LaunchSettings)
    found, options = parse("replay", str(main.__doc__), arguments, *groups)
    chosen, endpoint, rate, output, reporting, launching = found
    _check_transcode(chosen, endpoint)
    _check_runs(output.output, chosen.run_id)
    if not has_dead_letters(output.folder(), chosen):
        codes, runs = map("--codes={}".format, chosen.codes), map("--run_id={}".format, chosen.run_id)
        asked = ", ".join((*codes, *runs))
        print(f"no dead letter matches {asked or output.output}: there is nothing to replay", file=sys.stderr)
    settings = Settings(InputSettings(), endpoint, rate, output, chosen, reporting, launch=launching)
    return launch("replay", settings, options, _build)


def _build(pipeline: beam.Pipeline, settings: Settings, started_at: datetime) -> beam.PCollection[Receipt]:
    """The graph, once the runs before are closed."""
    resumes = interrupted_replays(settings.output.folder())
    return graph.replay(pipeline, replace(settings, resumes=resumes), started_at)


def interrupted_replays(folder: Folder) -> tuple[str, ...]:
    """The replays since the last one that was not interrupted, by name: the same command completes them."""
    found = [run for run_id in run_ids(folder) if (run := read_run(folder, run_id)) and run.command == "replay"]
    ended = receipts(folder, [run.run_id for run in found])
    replays = [run.run_id for run in sorted(found, key=attrgetter("started_at")) if run.run_id in ended]
    last = takewhile(lambda run_id: ended[run_id].status == INTERRUPTED, reversed(replays))
    return tuple(sorted(last))


def _check_transcode(chosen: ReplaySettings, endpoint: EndpointSettings) -> None:
    if chosen.transcode and endpoint.transfer == "url":
        raise UsageError("--transcode changes the images that are sent, and --transfer=url sends none")
    if chosen.transcode and not can_read_heic():
        raise UsageError("--transcode needs a package that is not installed: pip install 'cardbeam[heic]'")


def _check_runs(output: str, asked: Sequence[str]) -> None:
    folder = open_folder(output)
    check_runs(folder)
    known = runs_with_answers(folder)
    if not known:
        raise UsageError(f"there is no run in --output {output} yet: begin one with backfill or watch")
    if unknown := [run_id for run_id in asked if run_id not in known]:
        raise UsageError(f"--run_id {unknown[0]} is no run in --output {output}; there are {', '.join(known)}")
