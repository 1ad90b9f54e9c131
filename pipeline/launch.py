"""A run from its lock to its exit status: what all verbs that call the endpoint have in common."""

from __future__ import annotations

import gc
import logging
import sys
import traceback
from collections.abc import Callable
from datetime import datetime

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, TypeOptions

from pipeline.exit import EXIT_COMPLETE, EXIT_FAILED, UsageError, exit_status_of, innermost
from pipeline.progress import show_progress
from pipeline.report import report_if_possible
from pipeline.runner import opened_runner
from pipeline.runs import with_run
from pipeline.start_run import started_run
from pipeline.summary import summarise
from transforms.call_endpoint import read_credentials
from transforms.layout import run_file
from transforms.receipt import Receipt, read_receipt
from transforms.settings import Settings
from transforms.sources import SourceError
from transforms.stop import STOP_FILE, read_stop
from transforms.storage import Folder, open_folder
from transforms.worker import is_one_process

Build = Callable[[beam.Pipeline, Settings, datetime], object]
_LOG = logging.getLogger("cardbeam")


def launch(verb: str, settings: Settings, options: PipelineOptions, build: Build, *, leaves_page: bool = True) -> int:
    """Close what earlier launches left, begin a run, and run its graph; the exit status.

    Raises:
        UsageError: the credentials cannot be read, a run of its name exists, or another is in progress.
        NotClosed: an earlier run cannot be closed.
    """
    check_credentials(settings, options)
    gc.freeze()  # what is loaded by now stays, and a collection that walks over it stops every thread
    options.view_as(TypeOptions).pipeline_type_check = False  # the tests did; it is a fifth of what a run begins with
    folder = open_folder(settings.output.output)
    with started_run(folder, settings, verb) as run:
        try:
            with (
                show_progress(folder, run),
                opened_runner(options) as runner,
                beam.Pipeline(runner=runner, options=options) as pipeline,
            ):
                build(pipeline, with_run(settings, run), run.began)
        except Exception as error:  # whatever a runner raises, the user gets one line
            return fail(f"run {run.run_id} failed: {cause(error)}", error)
        receipt = read_receipt(folder, run.run_id)
        if receipt is None:
            return fail(f"run {run.run_id} left no receipt")
        print(summarise(receipt, settings.output.output))
        if leaves_page and (page := report_if_possible(folder, run.run_id)):
            print(f"  report     {settings.output.output.rstrip('/')}/{page}")
        return exit_status(folder, receipt)


def check_credentials(settings: Settings, options: PipelineOptions) -> None:
    """Whether workers in this process have credentials; a cluster's have an environment of their own.

    Raises:
        UsageError: they are missing.
    """
    if not is_one_process(options):
        return
    try:
        read_credentials(settings.endpoint.credentials_uri)
    except SourceError as error:
        raise UsageError(str(error)) from error


def fail(message: str, error: Exception | None = None) -> int:
    """Say in one line why a run did not come to its end; the exit status."""
    _LOG.debug(message, exc_info=error)
    print(f"{message}. Rerun the same command to resume", file=sys.stderr)
    return exit_status_of(error)


def cause(error: BaseException) -> str:
    """The innermost error: in words where they are the operating system's or our own, else its kind and place.

    Other libraries put values into their messages, and a value may be card text.
    """
    error = innermost(error)
    if isinstance(error, (OSError, SourceError)):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {frames[-1].filename}:{frames[-1].lineno}" if frames else type(error).__name__


def exit_status(folder: Folder, receipt: Receipt) -> int:
    """How a run that has its receipt ends the process."""
    if receipt.status == "complete":
        return EXIT_COMPLETE
    stop = read_stop(folder, run_file(receipt.run_id, STOP_FILE))
    return stop.exit_status if stop and receipt.reconciled else EXIT_FAILED
