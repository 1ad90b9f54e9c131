"""Inputs that grow -> what is new in them, a batch a step: listed and listed again.

Where a topic tells of new objects, what it names is checked as it comes, and the inputs are listed now and then.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain, islice

from cardbeam.config.settings import Settings, WatchSettings
from cardbeam.index.history import history_of
from cardbeam.index.on_disk.source_join import looked_up
from cardbeam.index.refresh import IndexFollower
from cardbeam.index.status import PriorStatus
from cardbeam.inputs.listing import modified_since
from cardbeam.inputs.manifests.stat_many import stat_many
from cardbeam.journal.follower import JournalFollower, RecordKey
from cardbeam.model.record import LEFT, RecordStatus
from cardbeam.model.request import ImageRef, Request
from cardbeam.run_state.layout import run_file
from cardbeam.run_state.stop_signal import STORAGE_REFUSED, StopSignal
from cardbeam.storage.filesystems.lookup import filesystem_for
from cardbeam.storage.folder import Folder
from cardbeam.storage.open_uri import SourceError
from cardbeam.watch.input_listing import InputListing
from cardbeam.watch.notifications.notification_feed import NotificationFeed
from cardbeam.watch.outage_pause import OutagePause
from cardbeam.watch.pending import PENDING_FILE, Group, PendingRequests, Uris, encode, new_requests, next_batch
from cardbeam.watch.publishing.unprocessed import Records, pending_requests
from cardbeam.watch.retry_schedule import RetrySchedule
from cardbeam.watch.unpaired import UnpairedSides
from cardbeam.watch.watch_status import StatusWriter
from schemas.contract import OPERATIONS

_LOG = logging.getLogger("cardbeam")
_STEP_S = 1.0
_HOLD_S = 4.0
"""How long a bundle of ours may last while there is nothing to dispatches: checkpoints wait for its end."""
_PENDING_FOR_S = 15.0
"""Dispatched is what the rate allows in this time: enough to keep every worker busy, little to wait for at the end."""
_MIN_PENDING, _PENDING_WITHOUT_A_RATE = 64, 1000
_MAX_QUEUED = 10_000
"""New images held in memory, or so; a listing stays there until they are dispatched."""
_LISTING_BATCH = 1000
_YOUNG_S = 2.0
"""A file on a disk that changed so lately may still be written to."""
_UNPAIRED_S = 300.0
"""A side without the other waits so long for it."""
_REFUSALS = 3


class Watcher:
    """Lists the inputs again and again, and dispatches what is new, a batch a step."""

    def __init__(
        self,
        folder: Folder,
        settings: Settings,
        watch: WatchSettings,
        should_stop: Callable[[], bool],
        follower: IndexFollower,
        *,
        feed: NotificationFeed | None = None,
        clock: Callable[[], float] = time.monotonic,
        now_s: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder, self._settings, self._watch, self._feed = folder, settings, watch, feed
        self._should_stop, self._follower, self._clock, self._now_s = should_stop, follower, clock, now_s
        self._wait = sleep if feed is None else feed.wait
        self._path = run_file(settings.output.run_id, PENDING_FILE)
        self._stop = StopSignal(folder, settings.output.run_id)
        self._journal = JournalFollower(folder, settings.output.run_id)
        self._pending = PendingRequests(by_source=settings.input.dedupe == "source")
        self._written = b""
        self._retries = RetrySchedule(folder, clock, now_s)
        self._pause = OutagePause(clock, now_s)
        self._failed_here: set[str] = set()
        self._waiting: dict[Uris, Request] = {}
        self._notified: dict[Uris, Request] = {}
        self._again: list[Request] = []
        self._listing: Iterator[Request] | None = None
        self._inputs = InputListing(settings.input, clock)
        self._listed_s = self._list_at_s = -math.inf
        self._refusals = 0
        self._unpaired = UnpairedSides(folder, clock, now_s)
        self._status = StatusWriter(folder, settings.output.run_id, clock, now_s)
        self._max_pending = max_pending(settings.rate.max_requests_per_second)

    def begin(self, number: int) -> None:
        """Go on where a crash left off: what was dispatched from a batch on, and was not processed, is dispatched
        again.

        A runner that goes back to an earlier batch holds what was dispatched before it.
        """
        self._retries.load()
        records = Records(self._learn(self._journal.read()))
        open_still = []
        for one in pending_requests(self._folder, self._settings.output.run_id):
            if records.is_processed(one.request.source_id):
                continue
            if (left := records.left_of(one)) is not None:
                self._retries.add(one.request, left, is_own=left.outcome == RecordStatus.RETRY.value)
            else:
                open_still.append(one)
        self._pending = PendingRequests(
            (one for one in open_still if one.number < number), by_source=self._pending.by_source
        )
        self._again = self._looked_up(one.request for one in open_still if one.number >= number)
        self._unpaired.load()
        self._status.note_found(chain(self._retries.uris(), (one.request.uris for one in open_still)))

    def step(self, number: int) -> list[Group] | None:
        """Wait a little for something to dispatches, and give it out; None at the end of the watch."""
        began_s = self._clock()
        while not self._should_stop():
            for known in self._learn(self._journal.read()):
                self._take(known)
            self._follower.catch_up()  # after the tail: what is not dispatched any more is known by then
            self._poll_notifications()
            if requests := [self._retries.dispatch(request) for request in self._next()]:
                self._pending.add(number, requests, self._retries.seen_at)
                self._write()
                self._tell()
                return self._pending.groups(requests)
            self._write()
            self._tell()
            if self._clock() - began_s >= _HOLD_S:
                return []
            if self._listing is None or len(self._waiting) >= _MAX_QUEUED:
                self._wait(_STEP_S)
        self._retries.keep(is_last=True)
        return None

    def _take(self, known: RecordKey) -> None:
        """Take up a record: what it processes is processed, what failed or was deferred is sent again when it is
        due."""
        if known.outcome in LEFT and self._retries.is_old(known):
            return
        was_probe = self._pause.is_on
        self._pause.record(known)
        request = self._pending.complete(known)
        if request is not None and not known.uris:  # of an erased image
            known = replace(known, uris=request.uris)
        if known.outcome not in LEFT:
            self._retries.complete(known)
        elif request is not None:
            is_own = known.outcome == RecordStatus.RETRY.value and not self._pause.is_on
            self._retries.add(request, known, is_own=is_own)
        if was_probe and request is not None and not len(self._pending):
            self._pause.probed()

    def _next(self) -> list[Request]:
        if self._again:
            requests, self._again = self._again, []
            return requests
        self._list()
        listed = (request for uris, request in self._waiting.items() if uris not in self._notified)
        is_full = len(self._retries) >= _MAX_QUEUED
        fresh = () if is_full else chain(self._notified.values(), listed)
        due = self._retries.due()
        # a probe goes to another image than the last: one that always fails would keep the others waiting for ever
        waiting = chain(fresh, due) if self._pause.is_on else chain(due, fresh)
        requests = next_batch(waiting, self._pending, self._free_slots())
        for request in requests:
            self._waiting.pop(request.uris, None)
            self._notified.pop(request.uris, None)
        return requests

    def _free_slots(self) -> int:
        """How many may be dispatched now: in an outage one alone, now and then."""
        if self._pause.is_on:
            return int(self._pause.may_probe and not len(self._pending))
        return self._max_pending - len(self._pending)

    def _poll_notifications(self) -> None:
        """Take up what a topic tells. Of two sides it tells one at a time: a listing finds the other."""
        if self._feed is None:
            return
        uris = self._feed.poll(_MAX_QUEUED - len(self._notified))
        operation = self._settings.input.operation
        is_of_two = len(OPERATIONS[operation].image_params) > 1
        must_list = self._feed.is_unavailable or (is_of_two and bool(uris))
        if uris and not is_of_two:
            try:
                found = stat_many(Request(operation, (ImageRef(uri),)) for uri in uris)
                requests = self._looked_up(modified_since(found, self._settings.input.modified_since))
                self._notified |= {request.uris: request for request in requests if request.source_id is not None}
                self._status.note_found(self._notified)
            except SourceError as error:
                _LOG.warning("could not stat notified objects (%s); falling back to a full listing", error)
                must_list = True
        if must_list:
            self._list_at_s = min(self._list_at_s, self._listed_s + self._watch.poll_interval_s)
        self._notified = {uris: request for uris, request in self._notified.items() if not self._is_known(request)}
        self._feed.commit_processed(self._open_uris)

    def _open_uris(self) -> set[str]:
        given = (one.request for one in self._pending)
        return {uri for request in (*self._notified.values(), *given) for uri in request.uris}

    def _list(self) -> None:
        """Look for what is new, if it is time: a second of it, so that what is found or told meanwhile is
        dispatched."""
        began_s = self._clock()
        if self._listing is None and began_s >= self._list_at_s:
            self._listing = self._inputs.requests()
            self._unpaired.begin_listing()
        while self._listing is not None and len(self._waiting) < _MAX_QUEUED and self._clock() - began_s < _STEP_S:
            listed = self._looked_up(islice(self._listing, _LISTING_BATCH))
            if not listed:
                self._end_listing()
            for request in listed:  # what an earlier listing showed of it may be no longer so
                self._waiting.pop(request.uris, None)
                if self._pending.has(request) and self._is_processed(request):
                    self._pending.drop_outdated(request)
            new = new_requests(listed, self._pending, self._is_known, self._is_whole)
            found = {request.uris: request for request in new}
            self._waiting |= found
            self._status.note_found(found)

    def _end_listing(self) -> None:
        is_told = self._feed is not None and not self._feed.is_unavailable
        self._listing, self._listed_s = None, self._clock()
        self._list_at_s = self._listed_s + (
            self._watch.full_scan_interval_s if is_told else self._watch.poll_interval_s
        )
        pending = (one.request.uris for one in self._pending)
        self._status.note_listing([*self._waiting, *self._notified, *pending, *self._retries.uris()])
        with suppress(OSError):  # the next listing keeps the times
            self._unpaired.end_listing(is_whole=self._inputs.is_whole)
        if self._inputs.is_whole:
            self._retries.end_listing()
        self._refusals = 0 if self._inputs.is_whole else self._refusals + self._inputs.is_refused
        if self._refusals >= _REFUSALS:
            self._stop.set(STORAGE_REFUSED)

    def _looked_up(self, requests: Iterable[Request]) -> list[Request]:
        """Requests with what earlier runs recorded of them."""
        return looked_up(requests, self._follower.index)

    def _learn(self, records: Iterator[RecordKey]) -> Iterator[RecordKey]:
        """Dead letters that a later run tries again are left alone in this one."""
        for known in records:
            self._status.note_record(known)
            if known.retriable and known.outcome not in LEFT and known.source_id is not None:
                self._failed_here.add(known.source_id)
            yield known

    def _is_processed(self, request: Request) -> bool:
        prior, _ = history_of(self._follower.index, request).of_source(request.source_id)
        return prior is not PriorStatus.UNKNOWN or request.source_id in self._failed_here

    def _is_known(self, request: Request) -> bool:
        """Whether it is not new: it is processed, or waits to be sent again."""
        return self._is_processed(request) or self._retries.waits(request)

    def _is_whole(self, request: Request) -> bool:
        """Whether nothing of it may still be on its way: bytes of a file, or the other side of a card."""
        if any(is_young(self._now_s(), image.uri, image.version) for image in request.images):
            return False
        if len(request.images) == len(OPERATIONS[self._settings.input.operation].image_params):
            return True
        return self._unpaired.waited_s(request.uris) >= _UNPAIRED_S

    def _tell(self) -> None:
        self._status.write(
            waiting=len(self._waiting.keys() | self._notified.keys()) + len(self._retries),
            in_flight=len(self._pending),
            unpaired=len(self._unpaired),
            failing_inputs=self._inputs.failing,
            next_retry_at_s=self._retries.next_at_s,
            paused_since_s=self._pause.since_at_s,
            deferred=len(self._retries),
        )

    def _write(self) -> None:
        self._retries.keep()
        content = encode(self._pending)
        if content != self._written:
            self._folder.write(self._path, content)
            self._written = content


def is_young(now_s: float, uri: str, version: str | None) -> bool:
    """Whether a file on a disk changed only just now. Objects are there whole or not at all."""
    if version is None or not filesystem_for(uri).is_local:
        return False
    return 0 <= now_s - int(version) / 1e9 < _YOUNG_S


def max_pending(rate_per_s: float) -> int:
    """Requests that are dispatched and not processed, at the most."""
    return max(_MIN_PENDING, math.ceil(rate_per_s * _PENDING_FOR_S)) if rate_per_s else _PENDING_WITHOUT_A_RATE
