"""The run of a watch -> its tables, as responses come, and its receipt: a splittable DoFn of one key.

It works beside the calls and learns of them by the journal, which all workers write. So it needs no launching process:
a job on a cluster publishes, and ends its run, by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsIter
from apache_beam.typehints import with_input_types, with_output_types

from cardbeam.config.settings import OutputSettings, Settings, WatchSettings
from cardbeam.model.result import RequestResult
from cardbeam.process import configure_process
from cardbeam.run_state.drained import mark_drained
from cardbeam.run_state.liveness.run_lock import TakenOver
from cardbeam.run_state.receipt import Receipt
from cardbeam.run_state.stop_signal import TAKEN_OVER, stop_run
from cardbeam.watch.publishing.publish_run import RunPublisher
from cardbeam.watch.publishing.publisher_lease import PublisherLease
from transforms.beam_files import use_beam_files
from transforms.call_endpoint import is_one_process
from transforms.metrics import record_publish_lags
from transforms.steps import END, STEPS


@with_input_types(RequestResult)
@with_output_types(bytes)
class MarkDrained(beam.PTransform):
    """Results of all calls -> a mark in the run's folder, once their watermark says that there are no more.

    It also spares a core on Prism, which waits in a busy loop for each bundle of a stage without an output.
    """

    def __init__(self, output: OutputSettings, session: str) -> None:
        super().__init__()
        self._output, self._session = output, session

    def expand(self, results: beam.PCollection[RequestResult]) -> beam.PCollection[bytes]:
        """Drop each result, and have one element wait for all of them."""
        nothing = results | "Drop" >> beam.FlatMap(_nothing).with_output_types(bytes)
        start = results.pipeline | "Start" >> beam.Impulse()
        mark = beam.Map(_mark, self._output, self._session, AsIter(nothing)).with_output_types(bytes)
        return start | "Mark" >> mark


@with_input_types(bytes)
@with_output_types(Receipt)
class PublishTables(beam.PTransform):
    """One impulse -> the run's receipt, once its calls have ended; tables every few seconds until then."""

    def __init__(self, settings: Settings, watch: WatchSettings, session: str, started_at: datetime) -> None:
        super().__init__()
        self._settings, self._watch, self._session, self._started_at = settings, watch, session, started_at

    def expand(self, start: beam.PCollection[bytes]) -> beam.PCollection[Receipt]:
        """Publish in one place; where that is the launching process, by the right of its lock."""
        is_alone = is_one_process(start.pipeline.options, type(start.pipeline.runner).__name__)
        publishing = _PublishFn(self._settings, self._watch, self._session, self._started_at, is_alone)
        return start | "Publish" >> beam.ParDo(publishing)


@with_input_types(Receipt)
@with_output_types(bytes)
class Drain(beam.PTransform):
    """Elements of the last stage -> nothing, so that the last stage has an output that is read: see `MarkDrained`."""

    def expand(self, last: beam.PCollection[Receipt]) -> beam.PCollection[bytes]:
        """Drop each element, and hand nothing on to a stage of its own."""
        nothing = last | "Drop" >> beam.FlatMap(_nothing).with_output_types(bytes)
        return nothing | "Break fusion" >> beam.Reshuffle() | "Read" >> beam.Map(_read).with_output_types(bytes)


def _nothing(element: Any) -> tuple[bytes, ...]:
    del element
    return ()


def _read(element: bytes) -> bytes:
    """Nothing comes."""
    return element


def _mark(start: bytes, output: OutputSettings, session: str, results: Iterable[bytes]) -> bytes:
    """There are no results to be seen: they only come once no more can come."""
    del results
    mark_drained(output.folder(), output.run_id, session)
    return start


@with_input_types(bytes)
@with_output_types(Receipt)
class _PublishFn(beam.DoFn):
    def __init__(
        self, settings: Settings, watch: WatchSettings, session: str, started_at: datetime, is_alone: bool
    ) -> None:
        self._settings, self._watch, self._session = settings, watch, session
        self._started_at, self._is_alone = started_at, is_alone
        self._publisher: RunPublisher | None = None
        self._next_number = 0

    def setup(self) -> None:
        configure_process()
        use_beam_files()

    @beam.DoFn.unbounded_per_element()
    def process(self, start: Any, tracker: Any = STEPS) -> Iterator[Receipt]:
        del start
        number = tracker.current_restriction().start
        if not tracker.try_claim(number):
            return
        if self._publisher is None or number != self._next_number:  # the runner went back, or comes from elsewhere
            self._publisher = self._open()
        self._next_number = number + 1
        try:
            receipt = self._publisher.step()
            record_publish_lags(self._publisher.take_lags_s())
        except TakenOver:  # whoever has the output closes the run; those that list and call end too
            stop_run(self._settings.output.folder(), self._settings.output.run_id, TAKEN_OVER)
            tracker.try_claim(END)
            return
        if receipt is not None:
            tracker.try_claim(END)  # there is nothing more
            yield receipt
            return
        tracker.defer_remainder()

    def _open(self) -> RunPublisher:
        folder = self._settings.output.folder()
        right = None if self._is_alone else PublisherLease(folder, self._settings.output.run_id)
        interval_s = self._watch.publish_interval_s
        return RunPublisher(folder, self._settings, self._session, self._started_at, interval_s, right=right)
