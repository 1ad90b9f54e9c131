"""Pending requests -> counts of what came of them, once every response is durable: the calls, many at a time.

The DoFn carries `process` into threads. What is heavy or must be one for each process (the
session, the throttle, the journal, the index of what is answered) is shared by all DoFns
of the process.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.io.components.rate_limiter import EnvoyRateLimiter
from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
    PipelineOptions,
    PortableOptions,
    StandardOptions,
)
from apache_beam.pvalue import AsIter
from apache_beam.transforms.window import GlobalWindow
from apache_beam.typehints import with_input_types, with_output_types
from apache_beam.utils.shared import Shared
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from cardbeam.calls.bounded_executor import Held, InFlight
from cardbeam.calls.duplicates import InFlightDuplicates
from cardbeam.calls.worker import Session, Worker
from cardbeam.config.credentials import read_credentials
from cardbeam.config.settings import OutputSettings, Settings
from cardbeam.model.request_codec import unpack
from cardbeam.model.result import Counts, RequestResult, StatusCount
from cardbeam.process import configure_process
from cardbeam.run_state.liveness.run_lock import refuse_if_taken_over
from transforms.count_results import CountInputs, CountResults
from transforms.metrics import NAMESPACE, CallMetrics, display_data_of
from transforms.shared_index import BatchesOfBundle, SharedIndex

Group = tuple[str, Iterable[bytes]]
"""Requests that may be duplicates of each other, packed, under the key of their group."""
InputCounts = tuple[beam.PCollection[StatusCount], ...]


class CalledRequests(NamedTuple):
    """What came of all requests, in numbers; the run's id as a barrier, which comes once every response is durable."""

    results: beam.PCollection[RequestResult]
    counts: beam.PCollection[Counts]
    durable: beam.PCollection[str]


@with_input_types(Group, StatusCount)
class CallEndpoint(beam.PTransform):
    """(Groups of pending requests, counts of the stages before) -> CalledRequests."""

    def __init__(self, settings: Settings, index: SharedIndex) -> None:
        super().__init__()
        self._settings, self._index = settings, index

    def expand(self, pending: tuple[beam.PCollection[Group], InputCounts]) -> CalledRequests:
        """Count the inputs, process what is pending, count the results."""
        groups, counted = pending
        output = self._settings.output
        attempt = counted | "Count inputs" >> CountInputs(output)
        results = groups | "Process" >> ProcessRequests(self._settings, self._index, after=attempt)
        counts = (counted, results) | "Count results" >> CountResults()
        durable = counts | "All responses are durable" >> beam.Map(_own_run, output).with_output_types(str)
        return CalledRequests(results, counts, durable)


def _own_run(_: Counts, output: OutputSettings) -> str:
    refuse_if_taken_over(output.folder(), output.run_id)
    return output.run_id


@with_input_types(Group)
@with_output_types(RequestResult)
class ProcessRequests(beam.PTransform):
    """Groups of pending requests -> RequestResults. No call is made before `after`, the attempt's name, is there."""

    def __init__(self, settings: Settings, index: SharedIndex, after: beam.PCollection[str] | None = None) -> None:
        super().__init__()
        self._settings, self._index, self._after = settings, index, after

    def expand(self, groups: beam.PCollection[Group]) -> beam.PCollection[RequestResult]:
        """Process each request of each group."""
        session = session_of(groups.pipeline.options, type(groups.pipeline.runner).__name__)
        process = _ProcessFn(self._settings, session, self._index, Shared())
        after = () if self._after is None else AsIter(self._after)
        return groups | "Call" >> beam.ParDo(process, after)


@with_input_types(Group, Iterable[str])
@with_output_types(RequestResult)
class _ProcessFn(beam.DoFn):
    def __init__(self, settings: Settings, session: Session, index: SharedIndex, shared: Shared) -> None:
        self._settings, self._session, self._index, self._shared = settings, session, index, shared
        self._metrics = CallMetrics()

    def display_data(self) -> dict[str, Any]:
        """What a runner shows beside this step."""
        return display_data_of(self._settings)

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
        self._metrics.begin(self._worker.rate_per_s(), self._index.get().count_items())
        self._batches = BatchesOfBundle(self._index) if self._session.watches else None

    def process(
        self,
        group: Group,
        after: Iterable[str],
        timestamp: Timestamp = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
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
        started_s = time.monotonic()
        self._worker.journal.flush()
        self._metrics.flushed(time.monotonic() - started_s)
        self._bundle.end()

    def _count(self, ended: WindowedValue) -> WindowedValue:
        self._metrics.add(ended.value)
        return ended


_open_limiter = partial(EnvoyRateLimiter, namespace=NAMESPACE)


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


def session_of(options: PipelineOptions, runner: str = "") -> Session:
    """A session that begins with these options, and with this runner where they name none."""
    return Session(uuid.uuid4().hex, is_one_process(options, runner), bool(options.view_as(StandardOptions).streaming))


def is_one_process(options: PipelineOptions, runner: str = "") -> bool:
    """Whether all calls are made in the process that launches them, with these options, or this runner if they name
    none."""
    runner = (options.view_as(StandardOptions).runner or runner).rpartition(".")[2]
    if runner in _IN_PROCESS_RUNNERS:
        return bool(options.view_as(DirectOptions).direct_running_mode != "multi_processing")
    where = options.view_as(PortableOptions).environment_type or (_LOOPBACK if runner in _LOOPBACK_RUNNERS else "")
    return where == _LOOPBACK and not options.view_as(DebugOptions).lookup_experiment("use_loopback_process_worker")
