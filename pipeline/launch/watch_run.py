"""One run of `watch`, from its lock to its receipt.

The graph finds, calls, publishes what the journal holds every few seconds, and writes the receipt. This process tells
it to end: when it is told to, or when the run's hours are over.
"""

from __future__ import annotations

import copy
import itertools
import logging
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult

from cardbeam import telemetry
from cardbeam.config.settings import LaunchSettings, Settings, WatchSettings
from cardbeam.index.on_disk.update import keep_index
from cardbeam.periodic import repeated
from cardbeam.ratelimit.membership import DEAD_AFTER_S
from cardbeam.run_state.layout import RUNS, run_file
from cardbeam.run_state.liveness.heartbeat import (
    HEARTBEAT_INTERVAL_S,
    NO_SESSION,
    WatchHeartbeat,
    write_watch_heartbeat,
)
from cardbeam.run_state.liveness.worker_heartbeat import await_silence
from cardbeam.run_state.receipt import read_receipt
from cardbeam.run_state.stop_signal import STOP_FILE, TAKEN_OVER, WATCH_STOPPED, StopSignal, read_stop
from cardbeam.storage.folder import Folder
from cardbeam.watch.publishing.publisher_lease import PUBLISHER_FILE
from cardbeam.watch.watch_status import read_watch_status
from pipeline import graph
from pipeline.cli.flink_options import stays_open
from pipeline.cli.terminal.logs import in_run
from pipeline.cli.terminal.output import tell
from pipeline.launch.batch_run import leave_to_job
from pipeline.launch.failure import cause, exit_status, fail
from pipeline.launch.interruption import stopped_by_signals
from pipeline.launch.notices import opened_notices
from pipeline.launch.period import end_period, remaining_s
from pipeline.launch.runner import opened_runner
from pipeline.report.checks import ALL_MAY_FAIL, check_run
from pipeline.report.default_checks import Check
from pipeline.report.page import report_if_possible
from pipeline.runs.display.run_metrics import observe_receipt, observe_watch
from pipeline.runs.display.summary import summarize
from pipeline.runs.display.watch_lines import log_watch
from pipeline.runs.lock import refuse_living_workers
from pipeline.runs.registry import Run, with_run
from pipeline.runs.start_run import started_run

_LOG = logging.getLogger("cardbeam")
_MEASURE_EVERY_S, _LOG_EACH = 5.0, 6
"""A log line every 30 s."""
_SOON_S = 0.2
"""How soon after a signal the graph is told to end."""
_TAKE_OVER_S = 60.0
_CANCELLED_WITHIN_S = 60.0


def watch_a_run(
    settings: Settings,
    watching: WatchSettings,
    options: PipelineOptions,
    ending: threading.Event,
    launching: LaunchSettings,
    *,
    checks: Sequence[Check] = (),
    notify_url: str = "",
    max_failed_share: float = ALL_MAY_FAIL,
) -> int:
    """One run, from its lock to its receipt; the exit status. With `no_wait`, until the runner has taken the job."""
    folder = settings.output.folder()
    with (
        started_run(folder, settings, "watch", when_orphaned=_end_orphans, wait_s=launching.lock_wait_s) as run,
        opened_notices(notify_url, run, folder.root, settings.rate) as notices,
    ):
        settings = with_run(settings, run)
        if launching.no_wait:
            return _leave_run(settings, watching, options, run)
        session = uuid.uuid4().hex
        try:
            with (
                stopped_by_signals(folder, run.run_id) as stopping,
                _sending_heartbeats(folder, run, session, watching, ending),
                _logging_progress(folder, run),
            ):
                in_run(run.run_id)
                _LOG.info("run %s: watching for new images", run.run_id, extra={"event": "started"})
                _run_graph(settings, watching, copy.deepcopy(options), session, run)  # a runner writes into them
            stop = read_stop(folder, run_file(run.run_id, STOP_FILE))
            if stop is not None and stop.code == WATCH_STOPPED.code:
                ending.set()  # no other run follows
            end_period(folder)
            receipt = read_receipt(folder, run.run_id)
        except Exception as error:  # whatever a runner raises, the user gets one line
            notices.tell("stopped", f"failed: {cause(error)}")
            return fail(f"run {run.run_id} failed: {cause(error)}", error)
        if receipt is None or not receipt.has_ended:
            notices.tell("stopped", "failed: it left no receipt")
            return fail(f"run {run.run_id} left no receipt")
        observe_receipt(receipt)
        telemetry.flush()
        keep_index(folder)
        receipt = check_run(folder, receipt, checks, max_failed_share)
        notices.tell_end(receipt)
        tell(summarize(receipt, settings.output.output))
        if not stopping.has_begun and (page := report_if_possible(folder, run.run_id)):
            tell(f"  report     {settings.output.output.rstrip('/')}/{page}")
        return exit_status(folder, receipt)


def _leave_run(settings: Settings, watching: WatchSettings, options: PipelineOptions, run: Run) -> int:
    """Have a cluster watch until the run is told to stop; the exit status."""
    try:
        with opened_runner(options) as runner:
            pipeline = beam.Pipeline(runner=runner, options=options)
            graph.watch(pipeline, settings, watching, NO_SESSION, run.began)
            return leave_to_job(settings.output.folder(), run, pipeline.run(), options)
    except Exception as error:  # whatever a runner raises, the user gets one line
        return fail(f"run {run.run_id} failed: {cause(error)}", error)


def _run_graph(settings: Settings, watching: WatchSettings, options: PipelineOptions, session: str, run: Run) -> None:
    """Run the graph until it ends by itself."""
    with opened_runner(options) as runner:
        pipeline = beam.Pipeline(runner=runner, options=options)
        graph.watch(pipeline, settings, watching, session, run.began)
        result = pipeline.run()
        with _cancelled_at_the_end(settings.output.folder(), run, result) if stays_open(options) else nullcontext():
            result.wait_until_finish()


@contextmanager
def _cancelled_at_the_end(folder: Folder, run: Run, result: PipelineResult) -> Iterator[None]:
    """Cancel a job that stays open once its run has its receipt."""

    def has_ended() -> bool:
        receipt = read_receipt(folder, run.run_id)
        return receipt is not None and receipt.has_ended

    def cancel() -> float | None:
        if not has_ended():
            return _SOON_S
        result.cancel()
        return None

    try:
        with repeated("cancel", cancel, first_s=_SOON_S, ends_within_s=_CANCELLED_WITHIN_S):
            yield
    except RuntimeError:  # Beam's, of a job that was cancelled
        if not has_ended():
            raise


def _end_orphans(folder: Folder) -> None:
    """Have a watch that a cluster kept, or will restart, send nothing more; wait until none calls any longer."""
    paths = [file.path.split("/") for file in folder.list(RUNS)]
    for run_id in sorted({path[1] for path in paths if path[2:] == [PUBLISHER_FILE]}):
        receipt = read_receipt(folder, run_id)
        if receipt is None or not receipt.has_ended:
            StopSignal(folder, run_id).set(TAKEN_OVER)
            await_silence(folder, DEAD_AFTER_S, _TAKE_OVER_S, time.sleep, run_id)
    refuse_living_workers(folder)


@contextmanager
def _sending_heartbeats(
    folder: Folder, run: Run, session: str, watching: WatchSettings, ending: threading.Event
) -> Iterator[None]:
    """Tell the graph to go on, every few seconds; and to end, once we are told to or its hours are over."""
    until_s = time.monotonic() + remaining_s(folder, watching.run_duration_h, time.time())

    def is_ending() -> bool:
        return ending.is_set() or time.monotonic() >= until_s

    written: WatchHeartbeat | None = None
    numbers = itertools.count()
    due_s = time.monotonic()

    def heartbeat() -> float:
        nonlocal written, due_s
        is_last = is_ending()
        if time.monotonic() >= due_s or written is None or is_last != written.is_ending:
            written = WatchHeartbeat(session, int(time.time()), is_last, next(numbers))
            write_watch_heartbeat(folder, run.run_id, written)
            due_s = time.monotonic() + HEARTBEAT_INTERVAL_S
        return _SOON_S

    with repeated("heartbeat", heartbeat):
        yield


@contextmanager
def _logging_progress(folder: Folder, run: Run) -> Iterator[None]:
    numbers = itertools.count()

    def log() -> float:
        if telemetry.is_on():
            watch, receipt = read_watch_status(folder, run.run_id), read_receipt(folder, run.run_id)
            observe_watch(run, watch, receipt, time.time())
        if (number := next(numbers)) and number % _LOG_EACH == 0:
            log_watch(folder, run.run_id, time.time())
        return _MEASURE_EVERY_S

    with repeated("progress", log):
        yield
