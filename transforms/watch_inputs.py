"""A run that watches -> groups of Requests, as new pictures appear: a splittable DoFn that lists and lists again.

Its position is the number of the batch; everything else it must know is in the run's folder.
It is never split: one place gives out, so that two likely copies are never under way at once.
"""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any

import apache_beam as beam
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.transforms.core import RestrictionProvider

from schemas.contract import OPERATIONS
from transforms.answered import Standing
from transforms.elements import Request
from transforms.find_cards import find
from transforms.fresh_answered import Fresh, FreshAnswered, group_key
from transforms.handed_out import OPEN_FILE, Given, Group, HandedOut, decode, encode, new_requests, to_give
from transforms.layout import run_file
from transforms.settings import Settings, WatchSettings
from transforms.sources import SourceError
from transforms.stop import STORAGE_REFUSED, StopSwitch
from transforms.storage import Folder, open_folder
from transforms.store_errors import StoreRefused
from transforms.tail import Known, Tail
from transforms.uris import local_path
from transforms.watch_control import Listener

_LOG = logging.getLogger("cardbeam")
_STEP_S = 1.0
_HOLD_S = 4.0
"""How long a bundle of ours may last while there is nothing to give out: checkpoints wait for its end."""
_OPEN_FOR_S = 15.0
"""Given out is what the rate allows in this time: enough to keep every worker busy, little to wait for at the end."""
_LEAST_OPEN, _OPEN_WITHOUT_A_RATE = 64, 1000
_WAITING = 10_000
"""New pictures held in memory at the most; a listing is left off there, and begun again when they are given out."""
_YOUNG_S = 2.0
"""A file on a disk that changed so lately may still be written to."""
_LONE_S = 300.0
"""A side without the other waits so long for it."""
_REFUSALS = 3
_END = 2**62


class WatchInputs(beam.PTransform):
    """One element -> (key, Requests) without end."""

    def __init__(self, settings: Settings, watch: WatchSettings, session: str, answered: FreshAnswered) -> None:
        super().__init__()
        self._settings, self._watch, self._session, self._answered = settings, watch, session, answered

    def expand(self, start: beam.PCollection[Any]) -> beam.PCollection[Group]:
        """Watch in one place, settle everywhere."""
        watched = start | "List" >> beam.ParDo(_WatchFn(self._settings, self._watch, self._session, self._answered))
        return watched | "Spread" >> beam.Reshuffle()


class _Steps(OffsetRestrictionTracker):
    """Batches by number. It lets itself be stopped after one, never be split: a second half would list as well."""

    def try_split(self, fraction_of_remainder: float) -> tuple[OffsetRange, OffsetRange] | None:
        return super().try_split(0) if not fraction_of_remainder else None

    def is_bounded(self) -> bool:
        return False


class _StepsProvider(RestrictionProvider):
    def initial_restriction(self, element: Any) -> OffsetRange:
        return OffsetRange(0, _END)

    def create_tracker(self, restriction: OffsetRange) -> _Steps:
        return _Steps(restriction)

    def restriction_size(self, element: Any, restriction: OffsetRange) -> int:
        return 1

    def truncate(self, element: Any, restriction: OffsetRange) -> None:
        """Drained by the runner: give out nothing more."""


_STEPS: Any = beam.DoFn.RestrictionParam(_StepsProvider())


class _WatchFn(beam.DoFn):
    def __init__(self, settings: Settings, watch: WatchSettings, session: str, answered: FreshAnswered) -> None:
        self._settings, self._watch, self._session, self._answered = settings, watch, session, answered
        self._watcher: Watcher | None = None
        self._next_number = 0

    @beam.DoFn.unbounded_per_element()
    def process(self, start: Any, tracker: Any = _STEPS) -> Iterator[Group]:
        del start
        number = tracker.current_restriction().start
        if not tracker.try_claim(number):
            return
        if self._watcher is None or number != self._next_number:  # the runner went back, or comes back from elsewhere
            self._watcher = self._open(number)
        self._next_number = number + 1
        groups = self._watcher.step(number)
        if groups is None:
            tracker.try_claim(_END)  # beyond the end: there is nothing more
            return
        batch = f"{number}.{uuid.uuid4().hex}"
        yield from ((group_key(batch, key), requests) for key, requests in groups)
        tracker.defer_remainder()

    def _open(self, number: int) -> Watcher:
        folder, run_id = open_folder(self._settings.output.output), self._settings.output.run_id
        listener = Listener(folder, run_id, self._session, time.monotonic)
        watcher = Watcher(folder, self._settings, self._watch, listener.is_over, self._answered.fresh())
        watcher.begin(number)
        return watcher


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
        clock: Callable[[], float] = time.monotonic,
        now_s: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder, self._settings, self._interval_s = folder, settings, watch.interval_s
        self._is_over, self._fresh, self._clock, self._now_s, self._sleep = is_over, fresh, clock, now_s, sleep
        self._path = run_file(settings.output.run_id, OPEN_FILE)
        self._stop = StopSwitch(folder, settings.output.run_id)
        self._tail = Tail(folder, settings.output.run_id)
        self._handed = HandedOut(by_source=settings.input.dedupe == "source")
        self._written = b""
        self._failed_here: set[str] = set()
        self._waiting: list[Request] = []
        self._again: list[Request] = []
        self._list_at_s = -math.inf
        self._refusals = 0
        self._lone_since_s: dict[tuple[str, ...], float] = {}
        self._most_open = most_open(settings.rate.max_requests_per_second)

    def begin(self, number: int) -> None:
        """Go on where a crash left off: what was given out from a batch on, and was not settled, is given out again.

        A runner that goes back to an earlier batch holds what was given out before it.
        """
        given = open_requests(self._folder, self._settings.output.run_id)
        settled = {known.source_id for known in self._learn(self._tail.read())}
        open_still = [one for one in given if one.request.source_id not in settled]
        self._handed = HandedOut((one for one in open_still if one.number < number), by_source=self._handed.by_source)
        self._again = [one.request for one in open_still if one.number >= number]

    def step(self, number: int) -> list[Group] | None:
        """Wait a little for something to give out, and give it out; None at the end of the watch."""
        began_s = self._clock()
        while not self._is_over():
            for known in self._learn(self._tail.read()):
                self._handed.settle(known)
            self._fresh.catch_up()  # after the tail: what is not given out any more is known by then
            if requests := self._next():
                self._handed.add(number, requests)
                self._write()
                return self._handed.groups(requests)
            self._write()
            if self._clock() - began_s >= _HOLD_S:
                return []
            self._sleep(_STEP_S)
        return None

    def _next(self) -> list[Request]:
        if self._again:
            requests, self._again = self._again, []
            return requests
        if self._clock() >= self._list_at_s:
            self._list()
        requests = to_give(self._waiting, self._handed, self._most_open - len(self._handed))
        given = {request.uris for request in requests}
        if given:
            self._waiting = [request for request in self._waiting if request.uris not in given]
        return requests

    def _list(self) -> None:
        """Look for what is new. A listing that was left off goes on as soon as its pictures are given out."""
        inputs = self._settings.input
        listed = chain.from_iterable(find(source, inputs) for source in inputs.input)
        new = new_requests(listed, self._handed, self._is_settled, self._is_whole)
        try:
            self._waiting = list(islice(new, _WAITING))
        except (SourceError, OSError) as error:  # the next look may be better: a store that is away comes back
            self._refuse(error)
        else:
            self._refusals = 0
        is_cut = len(self._waiting) == _WAITING
        self._list_at_s = self._clock() + (0.0 if is_cut else self._interval_s)

    def _refuse(self, error: Exception) -> None:
        _LOG.warning("the inputs could not be listed: %s", error)
        self._refusals += isinstance(error.__cause__ or error, StoreRefused)
        if self._refusals >= _REFUSALS:
            self._stop.pull(STORAGE_REFUSED)

    def _learn(self, records: Iterator[Known]) -> Iterator[Known]:
        """Deaths that a later run tries again are left alone in this one."""
        for known in records:
            if known.retriable and known.source_id is not None:
                self._failed_here.add(known.source_id)
            yield known

    def _is_settled(self, request: Request) -> bool:
        standing, _ = self._fresh.answered.of_source(request.source_id)
        return standing is not Standing.NEW or request.source_id in self._failed_here

    def _is_whole(self, request: Request) -> bool:
        """Whether nothing of it may still be on its way: bytes of a file, or the other side of a card."""
        if any(is_young(self._now_s(), picture.uri, picture.version) for picture in request.pictures):
            return False
        if len(request.pictures) == len(OPERATIONS[self._settings.input.operation].picture_params):
            self._lone_since_s.pop(request.uris, None)
            return True
        since_s = self._lone_since_s.setdefault(request.uris, self._clock())
        return self._clock() - since_s >= _LONE_S

    def _write(self) -> None:
        content = encode(self._handed)
        if content != self._written:
            self._folder.write(self._path, content)
            self._written = content


def is_young(now_s: float, uri: str, version: str | None) -> bool:
    """Whether a file on a disk changed only just now. Objects are there whole or not at all."""
    if version is None or local_path(uri) is None:
        return False
    return 0 <= now_s - int(version) / 1e9 < _YOUNG_S


def most_open(rate_per_s: float) -> int:
    """Requests that are given out and not settled, at the most."""
    return max(_LEAST_OPEN, math.ceil(rate_per_s * _OPEN_FOR_S)) if rate_per_s else _OPEN_WITHOUT_A_RATE


def open_requests(folder: Folder, run_id: str) -> list[Given]:
    """What is given out and not settled, as the watch wrote it last."""
    try:
        return decode(folder.read(run_file(run_id, OPEN_FILE)))
    except FileNotFoundError:
        return []
