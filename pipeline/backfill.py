"""Settings -> exit status: checks before the graph, the run, and what the receipt says after it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from pipeline.exit import EXIT_COMPLETE, EXIT_FAILED, UsageError
from pipeline.graph import backfill
from pipeline.options import DEFAULT_RUNNER, parse
from pipeline.summary import summarise
from transforms.call_endpoint import read_credentials
from transforms.find_cards import check_inputs
from transforms.layout import run_file
from transforms.receipt import Receipt, read_receipt
from transforms.settings import Settings
from transforms.sources import SourceError
from transforms.stop import STOP_FILE, read_stop
from transforms.storage import Folder, open_folder

_LOG = logging.getLogger("cardbeam")


def main(arguments: Sequence[str]) -> int:
    """`backfill`: the nightly run over everything that is not answered yet."""
    settings, options = parse("backfill", str(main.__doc__), arguments)
    settings = _with_run_id(settings, datetime.now(timezone.utc))
    _check(settings, options)
    return run(settings, options)


def _with_run_id(settings: Settings, now: datetime) -> Settings:
    output = settings.output
    return replace(settings, output=replace(output, run_id=output.run_id or now.strftime("%Y%m%dT%H%M%SZ")))


def _check(settings: Settings, options: PipelineOptions) -> None:
    """What can be known before the graph exists.

    Raises:
        UsageError: an input or the credentials cannot be read, or the run has ended already.
    """
    try:
        check_inputs(settings.input)
        if options.view_as(StandardOptions).runner == DEFAULT_RUNNER:  # elsewhere the workers have them
            read_credentials(settings.endpoint.credentials_uri)
    except SourceError as error:
        raise UsageError(str(error)) from error


def run(settings: Settings, options: PipelineOptions) -> int:
    """Run the graph and print what came of it; the exit status."""
    started_at = datetime.now(timezone.utc)
    folder = open_folder(settings.output.output)
    stop_path = run_file(settings.output.run_id, STOP_FILE)
    try:
        folder.delete([stop_path])
        with beam.Pipeline(options=options) as pipeline:
            backfill(pipeline, settings, started_at)
    except Exception as error:  # whatever a runner raises, the user gets one line
        _LOG.debug("the pipeline failed", exc_info=error)
        print(f"run {settings.output.run_id} failed: {_cause(error)}; the same command resumes it", file=sys.stderr)
        return EXIT_FAILED
    receipt = read_receipt(folder, settings.output.run_id)
    if receipt is None:
        print(f"run {settings.output.run_id} left no receipt; the same command resumes it", file=sys.stderr)
        return EXIT_FAILED
    print(summarise(receipt, settings.output.output))
    return _exit_status(folder, receipt)


def _cause(error: BaseException) -> str:
    """The innermost error, in words only where they are the operating system's or our own."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, (OSError, SourceError)):
        return str(error)
    return type(error).__name__


def _exit_status(folder: Folder, receipt: Receipt) -> int:
    if receipt.status == "complete":
        return EXIT_COMPLETE
    stop = read_stop(folder, run_file(receipt.run_id, STOP_FILE))
    return stop.exit_status if stop and receipt.reconciled else EXIT_FAILED
