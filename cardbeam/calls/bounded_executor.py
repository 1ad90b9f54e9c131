"""Many calls in flight at once inside one bundle; the bundle ends when all of its own have ended.

Threads and places belong to the process, what is in flight to the bundle. Results are returned as they come, in no
order; a failure in a thread is raised in the bundle. Work that only waits for what becomes of other work is held: it
keeps neither its thread nor its place, so that the other work can run.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")
Other = TypeVar("Other")
_Done = Callable[[], Result]

MAX_BYTES = 256 * 1024 * 1024
_LOOK_S = 0.1
_PATIENCE_S = 0.02


class Held(Generic[Result]):
    """Work that is done but for its last step, which can be taken once something is decided."""

    def __init__(self, decided: Future[Any], finish: Callable[[], Result]) -> None:
        self.decided, self.finish = decided, finish

    def then(self, step: Callable[[Result], Other]) -> Held[Other]:
        """The same with another step behind the last."""
        return Held(self.decided, lambda: step(self.finish()))


class InFlightLimit:
    """How much may be in flight at once in a process: a number of requests, and of bytes of images."""

    def __init__(
        self, max_requests: Callable[[], int], max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_requests, self._max_bytes, self._clock = max_requests, max_bytes, clock
        self._change = threading.Condition()
        self._taken = self._taken_bytes = 0
        self._idle_since_s = clock()

    def acquire(self, size_bytes: int, *, waits: bool) -> bool:
        """Whether there was a place; with `waits` there is one sooner or later. One alone may be of any size."""
        with self._change:
            while not self._has_room(size_bytes):
                if not waits:
                    return False
                self._change.wait(_LOOK_S)  # the bound itself may have changed
            self._taken += 1
            self._taken_bytes += size_bytes
            return True

    def release(self, size_bytes: int) -> None:
        """What was in flight has ended."""
        with self._change:
            self._taken -= 1
            self._taken_bytes -= size_bytes
            if not self._taken:
                self._idle_since_s = self._clock()
            self._change.notify()

    def wake(self) -> None:
        """Have all that wait look again: the bound was raised."""
        with self._change:
            self._change.notify_all()

    def idle_s(self) -> float:
        """Since how many seconds nothing is in flight; 0 while something is."""
        with self._change:
            return 0.0 if self._taken else self._clock() - self._idle_since_s

    def _has_room(self, size_bytes: int) -> bool:
        fits = self._taken < self._max_requests() and self._taken_bytes + size_bytes <= self._max_bytes
        return fits or not self._taken


class InFlight(Generic[Result]):
    """The work of one bundle on an executor, within the places of the process.

    Where there is no room the bundle sleeps until `batch` have ended, or one some time later: to
    wake it for each takes turns from those who work. As much as `prefetch` says may wait before it sleeps.
    `when_held` is called again and again while the bundle waits for nothing but held work.
    """

    def __init__(
        self,
        executor: Executor,
        limit: InFlightLimit,
        batch: int = 1,
        prefetch: Callable[[], int] = lambda: 0,
        when_held: Callable[[], None] = lambda: None,
    ) -> None:
        self._executor, self._limit, self._batch, self._prefetch = executor, limit, batch, prefetch
        self._when_held = when_held
        self._queued: deque[tuple[Callable[[], Result | Held[Result]], int]] = deque()
        self._done: deque[_Done[Result]] = deque()
        self._change = threading.Condition()
        self._awaited = 0
        self._open = 0
        """Started and not returned."""
        self._held = 0
        """Of these, held."""

    def submit(self, work: Callable[[], Result | Held[Result]], size_bytes: int = 0) -> Iterator[Result]:
        """Start work as soon as there is room; the results that have come by then."""
        self._queued.append((work, size_bytes))
        return self._start(keep=self._prefetch())

    def drain(self) -> Iterator[Result]:
        """Start what waits, and wait for all that is left."""
        yield from self._start(keep=0)
        while self._open:
            yield from self._take(at_least=min(self._batch, self._open))
            if self._open and self._held == self._open:
                self._when_held()

    def _start(self, keep: int) -> Iterator[Result]:
        """Start what there is room for; sleep until no more than `release` wait."""
        while self._queued:
            work, size_bytes = self._queued[0]
            is_too_much = len(self._queued) > keep
            if self._limit.acquire(size_bytes, waits=is_too_much and not self._is_running()):
                self._queued.popleft()
                self._open += 1
                self._executor.submit(self._run, work, size_bytes)
                yield from self._take(at_least=0)
            elif is_too_much:
                yield from self._take(at_least=min(self._batch, self._open))
            else:
                return

    def _run(self, work: Callable[[], Result | Held[Result]], size_bytes: int | None) -> None:
        """Do work; without a size it has no place to give back."""
        done: _Done[Result]
        try:
            result = work()
        except BaseException as error:  # whatever it was, the bundle must see it
            done = _raising(error)
        else:
            if isinstance(result, Held):
                self._hold(result, size_bytes)
                return
            done = _giving(result)
        if size_bytes is not None:
            self._limit.release(size_bytes)
        with self._change:
            self._done.append(done)
            self._tell()

    def _hold(self, held: Held[Result], size_bytes: int | None) -> None:
        with self._change:
            self._held += 1
            self._tell()
        if size_bytes is not None:
            self._limit.release(size_bytes)
        held.decided.add_done_callback(lambda _: self._resume(held))

    def _resume(self, held: Held[Result]) -> None:
        with self._change:
            self._held -= 1
        self._executor.submit(self._run, held.finish, None)

    def _tell(self) -> None:
        """Wake the bundle, if as much has ended as it waits for, or nothing runs any more."""
        if self._awaited and (len(self._done) >= self._awaited or not self._is_running()):
            self._change.notify()

    def _is_running(self) -> bool:
        return self._open > self._held + len(self._done)

    def _take(self, at_least: int) -> Iterator[Result]:
        """What has ended, once there is enough of it; nothing, where nothing has ended for a while."""
        if at_least:
            with self._change:
                self._await(at_least, _PATIENCE_S)
                self._await(1, _LOOK_S)
        while self._done:
            done = self._done.popleft()
            self._open -= 1
            yield done()

    def _await(self, count: int, timeout_s: float) -> None:
        self._awaited = count
        self._change.wait_for(lambda: len(self._done) >= count or (self._done and not self._is_running()), timeout_s)
        self._awaited = 0


def _giving(result: Result) -> _Done[Result]:
    return lambda: result


def _raising(error: BaseException) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail
