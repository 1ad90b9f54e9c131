"""A run from its lock to its exit status: what all commands that call the endpoint have in common."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, TypeOptions

from cardbeam import telemetry
from cardbeam.config.credentials import read_credentials
from cardbeam.config.settings import ReportingSettings, Settings, with_window
from cardbeam.run_state.receipt import read_receipt
from cardbeam.storage.open_uri import SourceError
from pipeline.cli.exit_codes import UsageError
from pipeline.cli.signals import exit_status_of_signal
from pipeline.launch.failure import cause, exit_status, fail
from pipeline.launch.interruption import ends_within_s, stopped_by_signals
from pipeline.launch.notices import opened_notices
from pipeline.launch.runner import opened_runner
from pipeline.report.checks import check_run, read_checks
from pipeline.report.page import report_if_possible
from pipeline.runs.progress import show_progress
from pipeline.runs.registry import with_run
from pipeline.runs.run_metrics import observe_receipt
from pipeline.runs.start_run import started_run
from pipeline.runs.summary import summarize
from transforms.call_endpoint import is_one_process

Build = Callable[[beam.Pipeline, Settings, datetime], object]


def launch(
    command: str, settings: Settings, options: PipelineOptions, build: Build, *, leaves_page: bool = True
) -> int:
    """Close what earlier launches left, begin a run, and run its graph; the exit status.

    Raises:
        UsageError: the credentials cannot be read, a run of its name exists, or another is in progress.
        NotClosed: an earlier run cannot be closed.
    """
    check_credentials(settings, options)
    reporting = settings.reporting or ReportingSettings()
    checks, settings = read_checks(reporting.checks), replace(settings, reporting=None)
    gc.freeze()  # what is loaded by now stays, and a collection that walks over it stops every thread
    options.view_as(TypeOptions).pipeline_type_check = False  # the tests did; it is a fifth of what a run begins with
    settings = with_window(settings, datetime.now().astimezone())
    folder = settings.output.folder()
    with (
        started_run(folder, settings, command) as run,
        opened_notices(reporting.notify_url, run, folder.root, settings.rate) as notices,
        stopped_by_signals(folder, run.run_id, ends_within_s(settings)) as ending,
    ):
        try:
            with (
                show_progress(folder, run, notices.observe),
                opened_runner(options) as runner,
                beam.Pipeline(runner=runner, options=options) as pipeline,
            ):
                build(pipeline, with_run(settings, run), run.began)
        except Exception as error:  # whatever a runner raises, the user gets one line
            notices.tell("stopped", f"failed: {cause(error)}" if ending.number is None else "interrupted")
            if ending.number is not None:  # whatever failed, the run was ended
                fail(f"run {run.run_id} was interrupted")
                return exit_status_of_signal(ending.number)
            return fail(f"run {run.run_id} failed: {cause(error)}", error)
        receipt = read_receipt(folder, run.run_id)
        if receipt is None:
            notices.tell("stopped", "failed: it left no receipt")
            return fail(f"run {run.run_id} left no receipt")
        observe_receipt(receipt)
        telemetry.flush()
        receipt = check_run(folder, receipt, checks)
        notices.tell_end(receipt)
        print(summarize(receipt, settings.output.output))
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
