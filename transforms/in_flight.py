"""Many calls under way at once inside one bundle; the bundle ends when all of its own have ended.

Threads and places belong to the process, what is under way to the bundle. Endings are handed
out as they come, in no order; a failure in a thread is raised in the bundle.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Ending = TypeVar("Ending")
_Done = Callable[[], Ending]

MOST_BYTES = 256 * 1024 * 1024
_LOOK_S = 0.1


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
    """The work of one bundle on an executor, within the places of the process."""

    def __init__(self, executor: Executor, places: Places) -> None:
        self._executor, self._places = executor, places
        self._done: SimpleQueue[_Done[Ending]] = SimpleQueue()
        self._under_way = 0

    def submit(self, work: Callable[[], Ending], size_bytes: int = 0) -> Iterator[Ending]:
        """Start work as soon as there is room; the endings that have come by then."""
        while not self._places.take(size_bytes, waits=not self._under_way):
            yield self._take(self._done.get())
        self._under_way += 1
        self._executor.submit(self._run, work, size_bytes)
        yield from self._take_what_is_there()

    def drain(self) -> Iterator[Ending]:
        """Wait for all that is left."""
        while self._under_way:
            yield self._take(self._done.get())

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
        self._done.put(done)

    def _take_what_is_there(self) -> Iterator[Ending]:
        while True:
            try:
                done = self._done.get_nowait()
            except Empty:
                return
            yield self._take(done)

    def _take(self, done: _Done[Ending]) -> Ending:
        self._under_way -= 1
        return done()
