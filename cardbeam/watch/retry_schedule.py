"""When a watch sends each failed image again: with growing distance, from its last failure on.

An image's own failures are counted, and after `len(DELAYS_S)` retries the next failure is a dead letter. What an outage
deferred is sent again as soon as calls are made again, and counts for nothing. Launches may follow each other faster
than retries come due, so counts and times are kept in the output folder, beside the runs. The file holds what is due
first, up to a bound; an image beyond it is new to the next launch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

import orjson

from cardbeam.journal.follower import RecordKey
from cardbeam.model.request import Request
from cardbeam.run_state.layout import RUNS
from cardbeam.storage.folder import Folder

DELAYS_S = (30.0, 120.0, 480.0, 1920.0, 7200.0)
"""From an image's first failure to its first retry, from the second to the second, and so on."""
DEFERRED_S = 1.0
"""From a deferral to the next try, where calls are made."""
RETRIES_FILE = f"{RUNS}/retries.json"
MAX_KEPT = 10_000
_WRITE_EVERY_S = 5.0
Uris = tuple[str, ...]


@dataclass(slots=True)
class _Retry:
    """An image that failed or was deferred, and is not processed."""

    source_id: str | None
    failures: int
    seen_at: int
    """`completed_at` of the last record of it that was taken up."""
    due_s: float
    """By the clock of this process."""
    due_at_s: float
    """By the wall clock, for the next process."""
    code: str
    """Of its last own failure."""
    request: Request | None = None
    """None where it was dispatched, or comes from an earlier process and no listing showed it yet."""
    is_listed: bool = True


class RetrySchedule:
    """The images that a watch sends again; for one thread."""

    def __init__(self, folder: Folder, clock: Callable[[], float], now_s: Callable[[], float]) -> None:
        self._folder, self._clock, self._now_s = folder, clock, now_s
        self._retries: dict[Uris, _Retry] = {}
        self._written = b""
        self._write_at_s = clock()

    def __len__(self) -> int:
        """Images that wait here for their time."""
        return sum(one.request is not None for one in self._retries.values())

    def uris(self) -> Iterable[Uris]:
        """Every image that is not processed."""
        return self._retries.keys()

    def load(self) -> None:
        """Take over what an earlier process kept. A time beyond the longest delay, from a wrong clock, is cut to it."""
        with suppress(OSError):  # not there; or the store is away: then the images are new
            self._written = self._folder.read(RETRIES_FILE)
        clock_s, now_s = self._clock(), self._now_s()
        for due_at_s, failures, seen_at, code, source_id, uris in _decode(self._written):
            wait_s = min(max(0.0, due_at_s - now_s), DELAYS_S[-1])
            self._retries[uris] = _Retry(
                source_id, failures, seen_at, clock_s + wait_s, now_s + wait_s, code, is_listed=False
            )

    def end_listing(self) -> None:
        """A whole listing has ended: what an earlier process kept and it did not show is gone."""
        self._retries = {uris: one for uris, one in self._retries.items() if one.is_listed}

    def seen_at(self, uris: Uris) -> int:
        """`completed_at` of the last record of an image that was taken up; 0 where there is none."""
        retry = self._retries.get(uris)
        return retry.seen_at if retry else 0

    def is_old(self, known: RecordKey) -> bool:
        """Whether a record was taken up already: the ledger repeats what the journal said."""
        return known.may_be_old and known.completed_at <= self.seen_at(known.uris)

    def add(self, request: Request, known: RecordKey, *, is_own: bool) -> None:
        """A record says that a dispatched image failed, by its own fault or not."""
        before = self._retries.get(request.uris)
        is_counted = is_own and known.completed_at > (before.seen_at if before else 0)
        failures = (before.failures if before else 0) + is_counted
        wait_s = DELAYS_S[min(failures, len(DELAYS_S)) - 1] if is_own and failures else DEFERRED_S
        seen_at = max(known.completed_at, before.seen_at if before else 0)
        code = (known.code if is_own else before.code if before else None) or ""
        self._retries[request.uris] = _Retry(
            known.source_id, failures, seen_at, self._clock() + wait_s, self._now_s() + wait_s, code, request
        )

    def complete(self, known: RecordKey) -> None:
        """An image has its result: it is sent no more. What may be told again may be of an earlier version."""
        retry = self._retries.get(known.uris)
        if retry is not None and (not known.may_be_old or known.source_id == retry.source_id):
            del self._retries[known.uris]

    def waits(self, request: Request) -> bool:
        """Whether a listed image waits for its time; another version of it does not."""
        retry = self._retries.get(request.uris)
        if retry is None:
            return False
        if retry.source_id != request.source_id:
            del self._retries[request.uris]
            return False
        retry.request, retry.is_listed = request, True
        return True

    def due(self) -> list[Request]:
        """What may be sent now, the longest due first."""
        now_s = self._clock()
        due = [(one.due_s, one.request) for one in self._retries.values() if one.request and one.due_s <= now_s]
        return [request for _, request in sorted(due, key=lambda one: one[0])]

    def dispatch(self, request: Request) -> Request:
        """The request as it is dispatched: it waits here no longer, and knows how it failed before, and whether its
        next failure is final."""
        retry = self._retries.get(request.uris)
        if retry is None:
            return replace(request, may_retry=True, failed_before="")
        retry.request = None
        return replace(request, may_retry=retry.failures < len(DELAYS_S), failed_before=retry.code)

    @property
    def next_at_s(self) -> float | None:
        """When the next of them is due, by the wall clock."""
        return min((one.due_at_s for one in self._retries.values() if one.request), default=None)

    def keep(self, *, is_last: bool = False) -> None:
        """Write the file, if anything that counts has changed, every few seconds; at the end at once."""
        if self._clock() < self._write_at_s and not is_last:
            return
        self._write_at_s = self._clock() + _WRITE_EVERY_S
        rows = [
            [round(one.due_at_s, 3), one.failures, one.seen_at, one.code, one.source_id, *uris]
            for uris, one in self._retries.items()
            if one.failures
        ]
        content = orjson.dumps(sorted(rows, key=itemgetter(0))[:MAX_KEPT])
        if content == self._written or (not rows and not self._written):
            return
        with suppress(OSError):  # the next time keeps them
            self._folder.write(RETRIES_FILE, content)
            self._written = content


def _decode(content: bytes) -> list[tuple[float, int, int, str, str | None, Uris]]:
    """What the file holds; nothing where it is missing or damaged: then the images are new."""
    try:
        rows = orjson.loads(content)
    except orjson.JSONDecodeError:
        return []
    return [(*row[:5], tuple(row[5:])) for row in rows if _is_row(row)] if isinstance(rows, list) else []


def _is_row(row: Any) -> bool:
    if not isinstance(row, list) or len(row) < 6:
        return False
    due_at_s, failures, seen_at, code, source_id, *uris = row
    is_number = all(type(one) is int for one in (failures, seen_at)) and type(due_at_s) in (int, float)
    return (
        is_number
        and (source_id is None or isinstance(source_id, str))
        and {type(one) for one in (code, *uris)} == {str}
    )
