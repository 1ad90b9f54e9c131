"""A run that watches -> groups of packed Requests, as new images appear: a splittable DoFn without end.

Its position is the number of the batch; everything else it must know is in the run's folder.
It is never split: one place dispatches, so that two likely duplicates are never in progress at once.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.typehints import with_input_types, with_output_types

from cardbeam.config.settings import Settings, WatchSettings
from cardbeam.model.grouping import group_key
from cardbeam.model.request_codec import pack
from cardbeam.process import configure_process
from cardbeam.run_state.drained import mark_listing_ended
from cardbeam.run_state.liveness.heartbeat import HEARTBEAT_TIMEOUT_S, HeartbeatMonitor
from cardbeam.watch.notifications.notification_feed import NotificationFeed, open_feed
from cardbeam.watch.watcher import Watcher
from transforms import metrics
from transforms.beam_files import use_beam_files
from transforms.call_endpoint import is_one_process
from transforms.shared_index import SharedIndex
from transforms.steps import END, STEPS

Packed = tuple[str, Iterable[bytes]]


@with_input_types(bytes)
@with_output_types(Packed)
class WatchInputs(beam.PTransform):
    """One impulse -> (key, packed Requests) without end."""

    def __init__(self, settings: Settings, watch: WatchSettings, session: str, index: SharedIndex) -> None:
        super().__init__()
        self._settings, self._watch, self._session, self._index = settings, watch, session, index

    def expand(self, start: beam.PCollection[bytes]) -> beam.PCollection[Packed]:
        """Watch in one place, process everywhere."""
        is_alone = is_one_process(start.pipeline.options, type(start.pipeline.runner).__name__)
        watching = _WatchFn(self._settings, self._watch, self._session, self._index, is_alone)
        watched = start | "List" >> beam.ParDo(watching)
        return watched | "Spread" >> beam.Reshuffle()


@with_input_types(bytes)
@with_output_types(Packed)
class _WatchFn(beam.DoFn):
    def __init__(
        self, settings: Settings, watch: WatchSettings, session: str, index: SharedIndex, is_alone: bool
    ) -> None:
        self._settings, self._watch, self._session, self._index = settings, watch, session, index
        self._timeout_s = HEARTBEAT_TIMEOUT_S if is_alone else math.inf
        self._watcher: Watcher | None = None
        self._feed: NotificationFeed | None = None
        self._next_number = 0

    def setup(self) -> None:
        configure_process()
        use_beam_files()

    @beam.DoFn.unbounded_per_element()
    def process(self, start: Any, tracker: Any = STEPS) -> Iterator[Packed]:
        del start
        number = tracker.current_restriction().start
        if not tracker.try_claim(number):
            return
        if self._watcher is None or number != self._next_number:  # the runner went back, or comes back from elsewhere
            self._watcher = self._open(number)
        self._next_number = number + 1
        groups = self._watcher.step(number)
        if groups is None:
            mark_listing_ended(self._settings.output.folder(), self._settings.output.run_id, self._session)
            tracker.try_claim(END)  # beyond the end: there is nothing more
            return
        batch = f"{number}.{uuid.uuid4().hex}"
        yield from ((group_key(batch, key), (pack(requests),)) for key, requests in groups)
        tracker.defer_remainder()

    def _open(self, number: int) -> Watcher:
        folder, run_id = self._settings.output.folder(), self._settings.output.run_id
        listener = HeartbeatMonitor(folder, run_id, self._session, time.monotonic, self._timeout_s)
        self.teardown()
        self._feed = open_feed(
            self._settings, self._watch, metrics.count
        )  # before the first listing: what comes between is told
        follower = self._index.follower()
        watcher = Watcher(folder, self._settings, self._watch, listener.should_stop, follower, feed=self._feed)
        watcher.begin(number)
        return watcher

    def teardown(self) -> None:
        if self._feed is not None:
            self._feed.close()
            self._feed = None
