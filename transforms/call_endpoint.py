"""Packed requests that may be duplicates of each other -> RequestResult of each: the calls, many at a time.

The DoFn carries `process` into threads. What is heavy or must be one for each process (the
session, the throttle, the journal, the index of what is answered) is shared by all DoFns
of the process.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Any

import apache_beam as beam
from apache_beam.io.components.adaptive_throttler import ThrottlingSignaler
from apache_beam.io.components.rate_limiter import EnvoyRateLimiter
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
    PipelineOptions,
    PortableOptions,
    StandardOptions,
)
from apache_beam.pvalue import AsIter
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.shared import Shared
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from cardbeam.calls.bounded_executor import Held, InFlight
from cardbeam.calls.duplicates import InFlightDuplicates
from cardbeam.calls.worker import Session, Worker
from cardbeam.config.credentials import read_credentials
from cardbeam.config.settings import Settings
from cardbeam.model.request_codec import unpack
from cardbeam.model.result import RequestResult
from cardbeam.process import configure_process
from transforms.shared_index import BatchesOfBundle, SharedIndex


class CallEndpoint(beam.PTransform):
    """Groups of packed Requests -> RequestResults. No call is made before `after`, the attempt's name, is there."""

    def __init__(self, settings: Settings, index: SharedIndex, after: beam.PCollection[str] | None = None) -> None:
        super().__init__()
        self._settings, self._index, self._after = settings, index, after

    def expand(self, groups: beam.PCollection[tuple[str, Iterable[bytes]]]) -> beam.PCollection[RequestResult]:
        """Settle each request of each group."""
        session = session_of(groups.pipeline.options)
        process = _ProcessFn(self._settings, session, self._index, Shared())
        after = () if self._after is None else (AsIter(self._after),)
        return groups | "Process" >> beam.ParDo(process, *after)


class _ProcessFn(beam.DoFn):
    def __init__(self, settings: Settings, session: Session, index: SharedIndex, shared: Shared) -> None:
        self._settings, self._session, self._index, self._shared = settings, session, index, shared
        self._calls_sent = Metrics.counter("cardbeam", "calls_sent")
        self._latency_ms = Metrics.distribution("cardbeam", "request_latency_ms")
        self._waited_ms = Metrics.distribution("cardbeam", "throttle_wait_ms")
        self._throttling = ThrottlingSignaler("cardbeam")
        self._throttled_s = 0.0

    def setup(self) -> None:
        configure_process()
        self._worker: Worker = self._shared.acquire(self._open_worker)
        if not self._session.is_alone:  # a process may outlive an attempt at its job, and another do its work
            self._index.refresh()

    def _open_worker(self) -> Worker:
        credentials = read_credentials(self._settings.endpoint.credentials_uri)
        return Worker(
            self._settings,
            self._session,
            self._index.get(),
            credentials,
            self._index.refresh,
            open_limiter=_open_limiter,
        )

    def start_bundle(self) -> None:
        self._in_flight: InFlight[WindowedValue]
        self._in_flight, self._bundle = self._worker.open_bundle()
        self._batches = BatchesOfBundle(self._index) if self._session.watches else None

    def process(
        self,
        group: tuple[str, Iterable[bytes]],
        timestamp: Timestamp = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
        after: Iterable[str] = (),  # the last: Beam shifts what follows a side input that is left out
    ) -> Iterator[WindowedValue]:
        attempt = next(iter(after), "")
        if self._batches is not None:
            self._batches.catch_up(group[0])
        duplicates, owned = InFlightDuplicates(), self._bundle.add(group[0])
        for request in chain.from_iterable(map(unpack, group[1])):
            process = partial(self._worker.process, request, duplicates, owned, attempt)
            work = partial(_result_at, process, timestamp, window)
            yield from map(self._count, self._in_flight.submit(work, self._worker.size_bytes(request)))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield from map(self._count, self._in_flight.drain())
        self._worker.journal.flush()
        self._bundle.end()

    def _count(self, ended: WindowedValue) -> WindowedValue:
        result: RequestResult = ended.value
        self._calls_sent.inc(result.attempts)
        if result.latency_s is not None:
            self._latency_ms.update(round(result.latency_s * 1000))
            self._waited_ms.update(round(result.waited_s * 1000))
        self._signal(result.throttled_s)
        return ended

    def _signal(self, throttled_s: float) -> None:
        """Tell the runner, which counts whole seconds; the rest is kept for the next time."""
        self._throttled_s += throttled_s
        whole_s = int(self._throttled_s)
        if whole_s:
            self._throttling.signal_throttled(whole_s)
            self._throttled_s -= whole_s


_open_limiter = partial(EnvoyRateLimiter, namespace="cardbeam")


def _result_at(
    process: Callable[[], RequestResult | Held[RequestResult]], timestamp: Timestamp, window: Any
) -> WindowedValue | Held[WindowedValue]:
    def at(result: RequestResult) -> WindowedValue:
        return WindowedValue(result, timestamp, (window or GlobalWindow(),))

    result = process()
    return result.then(at) if isinstance(result, Held) else at(result)


_IN_PROCESS_RUNNERS = frozenset({"FnApiRunner", "BundleBasedDirectRunner"})
_LOOPBACK, _LOOPBACK_RUNNERS = "LOOPBACK", frozenset({"PrismRunner"})
"""Where a portable runner has its workers in the launching process, and who does so unless told otherwise."""


def session_of(options: PipelineOptions) -> Session:
    """A session that begins with these options of the runner."""
    return Session(uuid.uuid4().hex, is_one_process(options), bool(options.view_as(StandardOptions).streaming))


def is_one_process(options: PipelineOptions) -> bool:
    """Whether these options of a runner have all calls made in the process that launches it."""
    runner = (options.view_as(StandardOptions).runner or "").rpartition(".")[2]
    if runner in _IN_PROCESS_RUNNERS:
        return bool(options.view_as(DirectOptions).direct_running_mode != "multi_processing")
    where = options.view_as(PortableOptions).environment_type or (_LOOPBACK if runner in _LOOPBACK_RUNNERS else "")
    return where == _LOOPBACK and not options.view_as(DebugOptions).lookup_experiment("use_loopback_process_worker")
