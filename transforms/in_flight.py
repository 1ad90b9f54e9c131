"""Many calls under way at once inside one bundle; the bundle ends when all of its own have ended.

Threads belong to the process, what is under way to the bundle. Endings are handed out as
they come, in no order; a failure in a thread is raised in the bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Ending = TypeVar("Ending")
_Done = Callable[[], Ending]


class InFlight(Generic[Ending]):
    """The work of one bundle on an executor, `most` of it at once."""

    def __init__(self, executor: Executor, most: int) -> None:
        self._executor, self._most = executor, most
        self._done: SimpleQueue[_Done[Ending]] = SimpleQueue()
        self._under_way = 0

    def submit(self, work: Callable[[], Ending]) -> Iterator[Ending]:
        """Start work as soon as there is room; the endings that have come by then."""
        while self._under_way >= self._most:
            yield self._take(self._done.get())
        self._under_way += 1
        self._executor.submit(self._run, work)
        yield from self._take_what_is_there()

    def drain(self) -> Iterator[Ending]:
        """Wait for all that is left."""
        while self._under_way:
            yield self._take(self._done.get())

    def _run(self, work: Callable[[], Ending]) -> None:
        try:
            ending = work()
        except BaseException as error:  # whatever it was, the bundle must see it
            failure = error

            def fail() -> Ending:
                raise failure

            self._done.put(fail)
        else:
            self._done.put(lambda: ending)

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
