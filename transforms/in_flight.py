"""Many calls under way at once inside one bundle; the bundle ends when all of its own have ended.

Threads and places belong to the process, what is under way to the bundle. Endings are handed
out as they come, in no order; a failure in a thread is raised in the bundle.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Generic, TypeVar

Ending = TypeVar("Ending")
_Done = Callable[[], Ending]

MOST_BYTES = 256 * 1024 * 1024
_LOOK_S = 0.1
_PATIENCE_S = 0.02


class Places:
    """How much may be under way at once in a process: so many requests, so many bytes of pictures."""

    def __init__(self, most: Callable[[], int], most_bytes: int = MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._change = threading.Condition()
        self._taken = self._taken_bytes = 0

    def take(self, size_bytes: int, *, waits: bool) -> bool:
        """Whether there was a place; with `waits` there is one sooner or later. One alone may be of any size."""
        with self._change:
            while not self._has_room(size_bytes):
                if not waits:
                    return False
                self._change.wait(_LOOK_S)  # the bound itself may have changed
            self._taken += 1
            self._taken_bytes += size_bytes
            return True

    def give_back(self, size_bytes: int) -> None:
        """What was under way has ended."""
        with self._change:
            self._taken -= 1
            self._taken_bytes -= size_bytes
            self._change.notify()

    def _has_room(self, size_bytes: int) -> bool:
        fits = self._taken < self._most() and self._taken_bytes + size_bytes <= self._most_bytes
        return fits or not self._taken


class InFlight(Generic[Ending]):
    """The work of one bundle on an executor, within the places of the process.

    Where there is no room the bundle sleeps until `together` have ended, or one some time later: to
    wake it for each takes turns from those who work. So much as `ahead` says may wait before it sleeps.
    """

    def __init__(
        self, executor: Executor, places: Places, together: int = 1, ahead: Callable[[], int] = lambda: 0
    ) -> None:
        self._executor, self._places, self._together, self._ahead = executor, places, together, ahead
        self._waiting: deque[tuple[Callable[[], Ending], int]] = deque()
        self._done: deque[_Done[Ending]] = deque()
        self._change = threading.Condition()
        self._awaited = 0
        self._under_way = 0

    def submit(self, work: Callable[[], Ending], size_bytes: int = 0) -> Iterator[Ending]:
        """Start work as soon as there is room; the endings that have come by then."""
        self._waiting.append((work, size_bytes))
        return self._start(leave=self._ahead())

    def drain(self) -> Iterator[Ending]:
        """Start what waits, and wait for all that is left."""
        yield from self._start(leave=0)
        while self._under_way:
            yield from self._take(at_least=min(self._together, self._under_way))

    def _start(self, leave: int) -> Iterator[Ending]:
        """Start what there is room for; sleep until no more than `leave` wait."""
        while self._waiting:
            work, size_bytes = self._waiting[0]
            is_too_much = len(self._waiting) > leave
            if self._places.take(size_bytes, waits=is_too_much and not self._under_way):
                self._waiting.popleft()
                self._under_way += 1
                self._executor.submit(self._run, work, size_bytes)
                yield from self._take(at_least=0)
            elif is_too_much:
                yield from self._take(at_least=min(self._together, self._under_way))
            else:
                return

    def _run(self, work: Callable[[], Ending], size_bytes: int) -> None:
        try:
            ending = work()
        except BaseException as error:  # whatever it was, the bundle must see it
            failure = error

            def fail() -> Ending:
                raise failure

            self._end(fail, size_bytes)
        else:
            self._end(lambda: ending, size_bytes)

    def _end(self, done: _Done[Ending], size_bytes: int) -> None:
        self._places.give_back(size_bytes)
        with self._change:
            self._done.append(done)
            if 0 < self._awaited <= len(self._done):
                self._change.notify()

    def _take(self, at_least: int) -> Iterator[Ending]:
        """What has ended, once there is so much of it."""
        if at_least:
            with self._change:
                for self._awaited, timeout_s in (at_least, _PATIENCE_S), (1, None):
                    self._change.wait_for(lambda: len(self._done) >= self._awaited, timeout_s)
                self._awaited = 0
        while self._done:
            done = self._done.popleft()
            self._under_way -= 1
            yield done()
