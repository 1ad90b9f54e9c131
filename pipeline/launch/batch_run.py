"""A run from its lock to its exit status: what all commands that call the endpoint have in common."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, TypeOptions
from apache_beam.runners.runner import PipelineResult

from cardbeam import telemetry
from cardbeam.config.credentials import read_credentials
from cardbeam.config.settings import LaunchSettings, ReportingSettings, Settings, with_moments
from cardbeam.index.on_disk.update import keep_index
from cardbeam.ratelimit.shared_limit import OtherLimit, agree_on_limit
from cardbeam.run_state.detached_job import DetachedJob, write_job
from cardbeam.run_state.receipt import read_receipt
from cardbeam.storage.folder import Folder
from cardbeam.storage.open_uri import SourceError
from pipeline.cli.exit_codes import EXIT_COMPLETE, UsageError
from pipeline.cli.signals import exit_status_of_signal
from pipeline.cli.terminal.output import tell
from pipeline.launch.engines.lost_worker import ending_with_lost_worker
from pipeline.launch.failure import cause, exit_status, fail
from pipeline.launch.interruption import ends_within_s, stopped_by_signals
from pipeline.launch.notices import Notices, opened_notices
from pipeline.launch.runner import opened_runner
from pipeline.launch.submit import accepted_job, build_request, is_request_only, refuse_local, runner_name
from pipeline.report.checks import check_run, read_checks
from pipeline.report.page import report_if_possible
from pipeline.runs.display.progress import show_progress
from pipeline.runs.display.run_metrics import observe_receipt
from pipeline.runs.display.summary import summarize
from pipeline.runs.registry import Run, new_run, with_run
from pipeline.runs.start_run import started_run
from transforms.call_endpoint import is_one_process

Build = Callable[[beam.Pipeline, Settings, datetime], object]


def launch(
    command: str,
    settings: Settings,
    options: PipelineOptions,
    build: Build,
    *,
    leaves_page: bool = True,
) -> int:
    """Close what earlier launches left, begin a run, and run its graph; the exit status.

    With `no_wait` it ends once the runner has taken the job. A template or a dry run begins no run.

    Raises:
        UsageError: the credentials cannot be read, a run of its name exists, or another is in progress.
        NotClosed: an earlier run cannot be closed.
    """
    launching = settings.launch or LaunchSettings()
    waits = not launching.no_wait
    reporting, settings = settings.reporting or ReportingSettings(), replace(settings, reporting=None, launch=None)
    if is_request_only(options):
        return write_request(command, settings, options, build)
    if not waits:
        refuse_local(options)
    check_credentials(settings, options)
    check_shared_limit(settings)
    checks = read_checks(reporting.checks)
    gc.freeze()  # what is loaded by now stays, and a collection that walks over it stops every thread
    options.view_as(TypeOptions).pipeline_type_check = False  # tests check it; it takes 0.2 s of CPU here
    settings = with_moments(settings, datetime.now().astimezone())
    folder = settings.output.folder()
    with (
        started_run(folder, settings, command, wait_s=launching.lock_wait_s) as run,
        opened_notices(reporting.notify_url, run, folder.root, settings.rate) as notices,
        stopped_by_signals(folder, run.run_id, ends_within_s(settings)) as ending,
    ):
        try:
            with (
                show_progress(folder, run, notices.observe),
                ending_with_lost_worker(folder, run.run_id, partial(_tell_lost, notices)),
                opened_runner(options) as runner,
            ):
                pipeline = beam.Pipeline(runner=runner, options=options)
                build(pipeline, with_run(settings, run), run.began)
                result = pipeline.run()
                if not waits:
                    return leave_to_job(folder, run, result, options)
                result.wait_until_finish()
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
        keep_index(folder)
        receipt = check_run(folder, receipt, checks, reporting.max_failed_share)
        notices.tell_end(receipt)
        tell(summarize(receipt, settings.output.output))
        if leaves_page and not ending.has_begun and (page := report_if_possible(folder, run.run_id)):
            tell(f"  report     {settings.output.output.rstrip('/')}/{page}")
        return exit_status(folder, receipt)


def _tell_lost(notices: Notices, text: str) -> None:
    notices.tell("stopped", text)
    notices.close()


def write_request(command: str, settings: Settings, options: PipelineOptions, build: Build) -> int:
    """Have the runner make its request of the graph, for a run that begins when somebody sends it; the exit status."""
    run = new_run(settings.output.folder(), settings, command, datetime.now(timezone.utc))
    pipeline = beam.Pipeline(options=options)
    build(pipeline, with_run(settings, run), run.began)
    print(f"run {run.run_id}: {build_request(pipeline, options)}")
    return EXIT_COMPLETE


def leave_to_job(folder: Folder, run: Run, result: PipelineResult, options: PipelineOptions) -> int:
    """Leave a run to its job, once the runner has taken it; the exit status."""
    job_id = accepted_job(result)
    write_job(folder, run.run_id, DetachedJob(job_id, runner_name(options)))
    print(f"run {run.run_id}: job {job_id} of {runner_name(options)} goes on; see status --output={folder.root}")
    return EXIT_COMPLETE


def check_shared_limit(settings: Settings) -> None:
    """Whether the runs that share a rate have the same limit.

    Raises:
        UsageError: this one has another, or the folder cannot be used.
    """
    rate = settings.rate
    try:
        if (shared := rate.rate_folder(settings.output.folder().file_mode)) is not None:
            agree_on_limit(shared, rate.max_requests_per_second)
    except OtherLimit as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"--rate_uri {rate.rate_uri} cannot be used: {error}") from error


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
