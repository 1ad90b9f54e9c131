"""Inputs that grow -> what is new in them, a batch a step: listed and listed again.

Where a topic tells of new objects, what it names is looked at as it comes, and the inputs are listed now and then.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain, islice

from cardbeam.config.settings import Settings, WatchSettings
from cardbeam.index.refresh import Fresh
from cardbeam.index.status import Standing
from cardbeam.inputs.stat_many import look_at_all
from cardbeam.journal.follower import Known, Tail
from cardbeam.model.record import LEFT, SettledAs
from cardbeam.model.request import Picture, Request
from cardbeam.run_state.layout import run_file
from cardbeam.run_state.stop_signal import STORAGE_REFUSED, StopSwitch
from cardbeam.storage.folder import Folder
from cardbeam.storage.open_uri import SourceError
from cardbeam.storage.uris import local_name
from cardbeam.watch.input_listing import InputListing
from cardbeam.watch.notification_feed import News
from cardbeam.watch.outage_pause import OutagePause
from cardbeam.watch.pending import OPEN_FILE, Group, HandedOut, Uris, encode, new_requests, to_give
from cardbeam.watch.retry_schedule import RetrySchedule
from cardbeam.watch.unpaired import UnpairedSides
from cardbeam.watch.unprocessed import Records, open_requests
from cardbeam.watch.watch_status import StatusWriter
from schemas.contract import OPERATIONS

_LOG = logging.getLogger("cardbeam")
_STEP_S = 1.0
_HOLD_S = 4.0
"""How long a bundle of ours may last while there is nothing to give out: checkpoints wait for its end."""
_OPEN_FOR_S = 15.0
"""Given out is what the rate allows in this time: enough to keep every worker busy, little to wait for at the end."""
_LEAST_OPEN, _OPEN_WITHOUT_A_RATE = 64, 1000
_WAITING = 10_000
"""New pictures held in memory, or so; a listing stays there until they are given out."""
_LISTED_AT_ONCE = 1000
_YOUNG_S = 2.0
"""A file on a disk that changed so lately may still be written to."""
_LONE_S = 300.0
"""A side without the other waits so long for it."""
_REFUSALS = 3


class Watcher:
    """Lists the inputs again and again, and gives out what is new, a batch a step."""

    def __init__(
        self,
        folder: Folder,
        settings: Settings,
        watch: WatchSettings,
        is_over: Callable[[], bool],
        fresh: Fresh,
        *,
        news: News | None = None,
        clock: Callable[[], float] = time.monotonic,
        now_s: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder, self._settings, self._watch, self._news = folder, settings, watch, news
        self._is_over, self._fresh, self._clock, self._now_s = is_over, fresh, clock, now_s
        self._wait = sleep if news is None else news.wait
        self._path = run_file(settings.output.run_id, OPEN_FILE)
        self._stop = StopSwitch(folder, settings.output.run_id)
        self._tail = Tail(folder, settings.output.run_id)
        self._handed = HandedOut(by_source=settings.input.dedupe == "source")
        self._written = b""
        self._retries = RetrySchedule(folder, clock, now_s)
        self._pause = OutagePause(clock, now_s)
        self._failed_here: set[str] = set()
        self._waiting: dict[Uris, Request] = {}
        self._told: dict[Uris, Request] = {}
        self._again: list[Request] = []
        self._listing: Iterator[Request] | None = None
        self._inputs = InputListing(settings.input, clock)
        self._listed_s = self._list_at_s = -math.inf
        self._refusals = 0
        self._unpaired = UnpairedSides(folder, clock, now_s)
        self._status = StatusWriter(folder, settings.output.run_id, clock, now_s)
        self._most_open = most_open(settings.rate.max_requests_per_second)

    def begin(self, number: int) -> None:
        """Go on where a crash left off: what was given out from a batch on, and was not settled, is given out again.

        A runner that goes back to an earlier batch holds what was given out before it.
        """
        self._retries.load()
        records = Records(self._learn(self._tail.read()))
        open_still = []
        for one in open_requests(self._folder, self._settings.output.run_id):
            if records.is_settled(one.request.source_id):
                continue
            if (left := records.left_of(one)) is not None:
                self._retries.add(one.request, left, is_own=left.outcome == SettledAs.RETRY.value)
            else:
                open_still.append(one)
        self._handed = HandedOut((one for one in open_still if one.number < number), by_source=self._handed.by_source)
        self._again = [one.request for one in open_still if one.number >= number]
        self._unpaired.load()
        self._status.note_found(chain(self._retries.uris(), (one.request.uris for one in open_still)))

    def step(self, number: int) -> list[Group] | None:
        """Wait a little for something to give out, and give it out; None at the end of the watch."""
        began_s = self._clock()
        while not self._is_over():
            for known in self._learn(self._tail.read()):
                self._take(known)
            self._fresh.catch_up()  # after the tail: what is not given out any more is known by then
            self._hear()
            if requests := [self._retries.dispatch(request) for request in self._next()]:
                self._handed.add(number, requests, self._retries.seen_at)
                self._write()
                self._tell()
                return self._handed.groups(requests)
            self._write()
            self._tell()
            if self._clock() - began_s >= _HOLD_S:
                return []
            if self._listing is None or len(self._waiting) >= _WAITING:
                self._wait(_STEP_S)
        self._retries.keep(is_last=True)
        return None

    def _take(self, known: Known) -> None:
        """Take up a record: what it settles is settled, what failed or was deferred is sent again when it is due."""
        if known.outcome in LEFT and self._retries.is_old(known):
            return
        was_probe = self._pause.is_on
        self._pause.note(known)
        request = self._handed.settle(known)
        if known.outcome not in LEFT:
            self._retries.settle(known)
        elif request is not None:
            is_own = known.outcome == SettledAs.RETRY.value and not self._pause.is_on
            self._retries.add(request, known, is_own=is_own)
        if was_probe and request is not None and not len(self._handed):
            self._pause.probed()

    def _next(self) -> list[Request]:
        if self._again:
            requests, self._again = self._again, []
            return requests
        self._list()
        listed = (request for uris, request in self._waiting.items() if uris not in self._told)
        is_full = len(self._retries) >= _WAITING
        waiting = chain(self._retries.due(), () if is_full else chain(self._told.values(), listed))
        requests = to_give(waiting, self._handed, self._room())
        for request in requests:
            self._waiting.pop(request.uris, None)
            self._told.pop(request.uris, None)
        return requests

    def _room(self) -> int:
        """How many may be given out now: in an outage one alone, now and then."""
        if self._pause.is_on:
            return int(self._pause.may_probe and not len(self._handed))
        return self._most_open - len(self._handed)

    def _hear(self) -> None:
        """Take up what a topic tells. Of two sides it tells one at a time: a listing finds the other."""
        if self._news is None:
            return
        uris = self._news.hear(_WAITING - len(self._told))
        operation = self._settings.input.operation
        is_of_two = len(OPERATIONS[operation].picture_params) > 1
        must_list = self._news.is_away or (is_of_two and bool(uris))
        if uris and not is_of_two:
            try:
                requests = look_at_all(Request(operation, (Picture(uri),)) for uri in uris)
                self._told |= {request.uris: request for request in requests if request.source_id is not None}
                self._status.note_found(self._told)
            except SourceError as error:
                _LOG.warning("what was told of could not be looked at, and is listed: %s", error)
                must_list = True
        if must_list:
            self._list_at_s = min(self._list_at_s, self._listed_s + self._watch.interval_s)
        self._told = {uris: request for uris, request in self._told.items() if not self._is_known(request)}
        self._news.settle(self._open_uris)

    def _open_uris(self) -> set[str]:
        given = (one.request for one in self._handed)
        return {uri for request in (*self._told.values(), *given) for uri in request.uris}

    def _list(self) -> None:
        """Look for what is new, if it is time: a second of it, so that what is found or told meanwhile is given out."""
        began_s = self._clock()
        if self._listing is None and began_s >= self._list_at_s:
            self._listing = self._inputs.requests()
            self._unpaired.begin_listing()
        while self._listing is not None and len(self._waiting) < _WAITING and self._clock() - began_s < _STEP_S:
            listed = list(islice(self._listing, _LISTED_AT_ONCE))
            if not listed:
                self._end_listing()
            for request in listed:  # what an earlier listing showed of it may be no longer so
                self._waiting.pop(request.uris, None)
                if self._handed.has(request) and self._is_settled(request):
                    self._handed.drop_another(request)
            new = new_requests(listed, self._handed, self._is_known, self._is_whole)
            found = {request.uris: request for request in new}
            self._waiting |= found
            self._status.note_found(found)

    def _end_listing(self) -> None:
        is_told = self._news is not None and not self._news.is_away
        self._listing, self._listed_s = None, self._clock()
        self._list_at_s = self._listed_s + (self._watch.safety_interval_s if is_told else self._watch.interval_s)
        handed = (one.request.uris for one in self._handed)
        self._status.note_listing([*self._waiting, *self._told, *handed, *self._retries.uris()])
        with suppress(OSError):  # the next listing keeps the times
            self._unpaired.end_listing(is_whole=self._inputs.is_whole)
        if self._inputs.is_whole:
            self._retries.end_listing()
        self._refusals = 0 if self._inputs.is_whole else self._refusals + self._inputs.is_refused
        if self._refusals >= _REFUSALS:
            self._stop.pull(STORAGE_REFUSED)

    def _learn(self, records: Iterator[Known]) -> Iterator[Known]:
        """Dead letters that a later run tries again are left alone in this one."""
        for known in records:
            self._status.note_record(known)
            if known.retriable and known.outcome not in LEFT and known.source_id is not None:
                self._failed_here.add(known.source_id)
            yield known

    def _is_settled(self, request: Request) -> bool:
        standing, _ = self._fresh.answered.of_source(request.source_id)
        return standing is not Standing.NEW or request.source_id in self._failed_here

    def _is_known(self, request: Request) -> bool:
        """Whether it is not new: it is settled, or waits to be sent again."""
        return self._is_settled(request) or self._retries.waits(request)

    def _is_whole(self, request: Request) -> bool:
        """Whether nothing of it may still be on its way: bytes of a file, or the other side of a card."""
        if any(is_young(self._now_s(), picture.uri, picture.version) for picture in request.pictures):
            return False
        if len(request.pictures) == len(OPERATIONS[self._settings.input.operation].picture_params):
            return True
        return self._unpaired.waited_s(request.uris) >= _LONE_S

    def _tell(self) -> None:
        self._status.write(
            waiting=len(self._waiting.keys() | self._told.keys()) + len(self._retries),
            in_flight=len(self._handed),
            unpaired=len(self._unpaired),
            failing_inputs=self._inputs.failing,
            next_retry_at_s=self._retries.next_at_s,
            paused_since_s=self._pause.since_at_s,
            deferred=len(self._retries),
        )

    def _write(self) -> None:
        self._retries.keep()
        content = encode(self._handed)
        if content != self._written:
            self._folder.write(self._path, content)
            self._written = content


def is_young(now_s: float, uri: str, version: str | None) -> bool:
    """Whether a file on a disk changed only just now. Objects are there whole or not at all."""
    if version is None or local_name(uri) is None:
        return False
    return 0 <= now_s - int(version) / 1e9 < _YOUNG_S


def most_open(rate_per_s: float) -> int:
    """Requests that are given out and not settled, at the most."""
    return max(_LEAST_OPEN, math.ceil(rate_per_s * _OPEN_FOR_S)) if rate_per_s else _OPEN_WITHOUT_A_RATE
