"""`watch`: new images as they appear, one run after another, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import DebugOptions, PipelineOptions, StandardOptions

from cardbeam.config.settings import (
    EndpointSettings,
    InputSettings,
    LaunchSettings,
    OutputSettings,
    RateSettings,
    ReportingSettings,
    Settings,
    WatchSettings,
    with_moments,
)
from cardbeam.inputs.listing import list_requests
from cardbeam.inputs.manifests.manifest import is_manifest
from cardbeam.run_state.liveness.heartbeat import NO_SESSION
from cardbeam.storage.folder import Folder
from cardbeam.storage.open_uri import SourceError
from cardbeam.storage.uris import local_path
from cardbeam.watch.notifications.notification_feed import check_feed
from pipeline import graph
from pipeline.cli.exit_codes import EXIT_CHECK_FAILED, EXIT_COMPLETE, UsageError
from pipeline.cli.options import BUFFER_LIMIT, parse, refuse_overlap
from pipeline.cli.signals import ending_in_order, exit_status_of_signal
from pipeline.launch.batch_run import check_credentials, check_shared_limit, write_request
from pipeline.launch.engines.prism import PRISM, find_prism
from pipeline.launch.interruption import ends_within_s
from pipeline.launch.submit import is_request_only, refuse_local
from pipeline.launch.watch_run import watch_a_run
from pipeline.report.checks import read_checks
from pipeline.runs.lock import LockHeld
from pipeline.runs.turns import give_turns
from transforms.beam_files import use_beam_files
from transforms.call_endpoint import is_one_process

_TO_THE_END = frozenset({"FnApiRunner", "BundleBasedDirectRunner", "DirectRunner"})
"""Runners that would list for ever before the first call, and hear no signal."""

_TURNS_WITHIN_S = 6 * 3600.0
"""So long other commands may have the output between two runs, before the watch ends instead of going on."""
_RETRY_S = 1.0


def main(arguments: Sequence[str]) -> int:
    """Read new images as they appear under the inputs; tables follow within seconds. SIGTERM or Ctrl-C ends it."""
    use_beam_files()
    groups = (InputSettings, WatchSettings, EndpointSettings, RateSettings, OutputSettings)
    (inputs, watching, *others, reporting, launching), options = parse(
        "watch", str(main.__doc__), arguments, *groups, ReportingSettings, LaunchSettings, runner=PRISM
    )
    settings = Settings(inputs, *others)
    refuse_overlap(settings)
    if settings.input.sample:
        raise UsageError("--sample is for backfill and plan: a watch has no end to draw a sample from")
    if settings.input.reread_before:
        raise UsageError("--reread_before is for backfill and plan: run a backfill, then watch")
    _check_inputs(settings.input)
    try:
        check_feed(settings, watching, reads_topic_here=is_one_process(options))
    except SourceError as error:
        raise UsageError(str(error)) from error
    check_credentials(settings, options)
    check_shared_limit(settings)
    checks = read_checks(reporting.checks)
    _set_up(options)
    settings = with_moments(settings, datetime.now().astimezone())
    if is_request_only(options):
        return write_request("watch", settings, options, partial(_build, watching))
    run = partial(
        watch_a_run,
        launching=launching,
        checks=checks,
        notify_url=reporting.notify_url,
        max_failed_share=reporting.max_failed_share,
    )
    if launching.no_wait:
        refuse_local(options)
        return run(settings, watching, options, threading.Event())
    return _one_after_another(run, settings, watching, options)


def _one_after_another(
    run: Callable[..., int], settings: Settings, watching: WatchSettings, options: PipelineOptions
) -> int:
    """The status of the last of the runs that follow each other until one fails, or the watch is told to end."""
    shutdown = threading.Event()
    with ending_in_order(lambda _: shutdown.set(), ends_within_s(settings)) as ending:
        status = run(settings, watching, options, shutdown)
        while True:
            if ending.number is not None and status == exit_status_of_signal(ending.number):
                return EXIT_COMPLETE
            if status not in (EXIT_COMPLETE, EXIT_CHECK_FAILED) or shutdown.is_set():
                return status
            settings = replace(settings, output=replace(settings.output, run_id=""))
            following = partial(run, settings, watching, options, shutdown)
            status = _in_turn(following, settings.output.folder(), shutdown, status)


def _build(watching: WatchSettings, pipeline: beam.Pipeline, settings: Settings, began: datetime) -> None:
    graph.watch(pipeline, settings, watching, NO_SESSION, began)


def _in_turn(run: Callable[[], int], folder: Folder, shutdown: threading.Event, status: int) -> int:
    """The status of the next run, which begins when the commands that wait for the output have had it; `status` where
    the watch is told to end before.

    Raises:
        LockHeld: another command has it for too long.
    """
    until_s = time.monotonic() + _TURNS_WITHIN_S
    while not shutdown.is_set():
        give_turns(folder, _TURNS_WITHIN_S, sleep=shutdown.wait)
        try:
            return run()
        except LockHeld:
            if time.monotonic() >= until_s:
                raise
            shutdown.wait(_RETRY_S)
    return status


def _set_up(options: PipelineOptions) -> None:
    """Have the runner stream; find Prism, if it is the runner.

    Raises:
        UsageError: the runner cannot watch; or there is no Prism, and it cannot be downloaded.
    """
    standard = options.view_as(StandardOptions)
    if standard.runner in _TO_THE_END:
        raise UsageError(f"--runner {standard.runner} runs each stage to its end, so it cannot watch: leave it out")
    standard.streaming = True
    debug = options.view_as(DebugOptions)
    # bundles are short here, and with it Beam's Java runners leave a thread behind for some of them, without end
    debug.experiments = [one for one in debug.experiments or () if one != BUFFER_LIMIT]
    if standard.runner == PRISM:
        find_prism(options)


def _check_inputs(inputs: InputSettings) -> None:
    """Whether each input can be listed; it may be empty yet.

    Raises:
        UsageError: it cannot, or does not grow.
    """
    for source in inputs.input:
        if is_manifest(source):
            raise UsageError(f"--input {source} is a manifest, which watch does not take: expected a folder or a glob")
        path = local_path(source)
        if path is not None and not any(letter in source for letter in "*?[") and not Path(path).exists():
            raise UsageError(f"--input {source} does not exist: expected a folder or a glob")
        try:
            list(islice(list_requests(source, inputs), 1))
        except SourceError as error:
            raise UsageError(str(error)) from error
