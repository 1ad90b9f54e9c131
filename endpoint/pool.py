"""Pictures -> answers, in worker processes: a bounded queue in front, a time limit each, and no death that spreads.

Each worker is a loky executor of one process. One executor of many would fail every picture under way when one
process dies, and could not end a single picture that takes too long.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

import loky  # type: ignore[import-untyped]  # ships no types
import psutil
from loky.process_executor import ShutdownExecutorError  # type: ignore[import-untyped]  # as above

from endpoint.answers import PictureAnswer
from endpoint.worker import MakeReader, Reading, open_reader, read_picture

_logger = logging.getLogger(__name__)
_TRIES = 2
_REOPEN_AFTER_S = 1.0
_LOOK_EVERY_S = 0.1  # at what a worker uses; short against the time in which a bomb fills a gigabyte
_GONE = (BrokenProcessPool, ShutdownExecutorError)
"""What a worker's future raises once its process has died, or was killed here."""
_WORKER_ENVIRONMENT = {"OMP_THREAD_LIMIT": "1", "OPENBLAS_NUM_THREADS": "1"}
"""One core per worker: libraries that start a thread per core only get in each other's way."""


class QueueFull(Exception):
    """As many pictures as may wait are waiting, or this one has waited as long as it may."""


class WorkerLost(Exception):
    """The workers that read a picture died, both of them, or were stopped with the server."""


class CardTimeout(Exception):
    """A picture took a worker longer than allowed without computing much: stuck, or the machine is overloaded."""


@dataclass(frozen=True, slots=True)
class PoolBounds:
    """What the workers may use. A picture may take `card_cpu_s` of computing, on a busy machine for `card_timeout_s`.

    Above `max_worker_mb` a worker is killed; above half of it, replaced when free.
    """

    workers: int
    max_waiting: int
    max_wait_s: float
    card_cpu_s: float
    card_timeout_s: float
    cards_per_worker: int
    max_worker_mb: float


class WorkerPool:
    """Reads pictures in `bounds.workers` processes. All of it belongs to one event loop."""

    def __init__(self, make_reader: MakeReader, bounds: PoolBounds) -> None:
        self._make_reader = make_reader
        self._bounds = bounds
        self._workers: set[_Worker] = set()
        self._free: asyncio.Queue[_Worker] = asyncio.Queue()
        self._taken_places = 0
        self._reopening: set[asyncio.Task[None]] = set()
        self._closed = False

    async def start(self) -> None:
        """Open every worker; returns when all of them can read. Raises BrokenProcessPool where a reader can't open."""
        await asyncio.gather(*(self._open() for _ in range(self._bounds.workers)))

    def close(self) -> None:
        """Kill every worker; pictures under way are lost. May be called twice."""
        self._closed = True
        for worker in self._workers:
            worker.kill(wait=True)
        self._workers.clear()

    @contextlib.contextmanager
    def places(self, count: int) -> Iterator[None]:
        """Hold places for pictures from before they are sent until they are answered. Raises QueueFull."""
        if self._taken_places + count > self._bounds.workers + self._bounds.max_waiting:
            raise QueueFull
        self._taken_places += count
        try:
            yield
        finally:
            self._taken_places -= count

    async def read(self, picture: bytes, *, get_thumb: bool, says_valid: bool) -> PictureAnswer:
        """One picture -> its answer, once more on another worker if the first one dies of it or with it.

        One that needs more time or memory than there is counts as unreadable (code 3). Raises QueueFull where no
        worker comes free, WorkerLost where both died, CardTimeout, and ReaderFailed where the reader has a bug.
        """
        for _ in range(_TRIES):
            if self._closed:
                break
            worker, reading = await self._hand_to_a_worker(picture, get_thumb, says_valid)
            try:
                return await self._answer(worker, reading)
            except _GONE:
                _logger.warning("a worker died while it read a picture")
            finally:
                self._give_back(worker)
        raise WorkerLost

    async def is_healthy(self) -> bool:
        """Whether any worker answers within the time limit of a card, busy ones included."""
        pings = [asyncio.create_task(self._ping(worker)) for worker in self._workers]
        try:
            for first in asyncio.as_completed(pings):
                if await first:
                    return True
        finally:
            for ping in pings:
                ping.cancel()
        return False

    async def _hand_to_a_worker(self, *job: Any) -> tuple[_Worker, Future[Reading]]:
        while True:
            try:
                worker = await asyncio.wait_for(self._free.get(), self._bounds.max_wait_s)
            except asyncio.TimeoutError:
                raise QueueFull from None
            worker.usable = False  # until it has answered: it may be dead, die, take too long, or the server may stop
            try:
                return worker, worker.submit(read_picture, *job)
            except _GONE:
                self._give_back(worker)  # it died while idle: no try of this picture is lost

    async def _answer(self, worker: _Worker, reading: Future[Reading]) -> PictureAnswer:
        """What the worker says, or that it shall say no more: a picture made to use up a machine is no picture."""
        read, ends_at = asyncio.wrap_future(reading), time.monotonic() + self._bounds.card_timeout_s
        try:
            while not (await asyncio.wait({read}, timeout=_LOOK_EVERY_S))[0]:
                if self._uses_too_much(worker, ends_at):
                    return PictureAnswer("3")
        finally:
            read.cancel()  # nothing where it is done; else nobody would hear of its end
        worker.has_read(read.result())
        return read.result().answer

    def _uses_too_much(self, worker: _Worker, ends_at: float) -> bool:
        """Whether a picture needs more memory or computing than there is. Raises CardTimeout."""
        if time.monotonic() > ends_at:
            raise CardTimeout
        return worker.memory_mb() > self._bounds.max_worker_mb or worker.computed_s() > self._bounds.card_cpu_s

    def _give_back(self, worker: _Worker) -> None:
        if worker.usable:
            self._free.put_nowait(worker)
        elif not self._closed:
            self._workers.discard(worker)
            worker.kill()
            task = asyncio.create_task(self._reopen())
            self._reopening.add(task)  # the loop alone would let it be collected
            task.add_done_callback(self._reopening.discard)

    async def _open(self) -> None:
        worker = _Worker(self._make_reader, self._bounds)
        self._workers.add(worker)
        try:
            worker.is_open(await asyncio.wrap_future(worker.submit(os.getpid)))
        except _GONE:
            self._workers.discard(worker)
            raise
        self._free.put_nowait(worker)

    async def _reopen(self) -> None:
        while not self._closed:
            try:
                return await self._open()
            except _GONE:
                _logger.error("a worker could not be opened, once more in %s s", _REOPEN_AFTER_S)
                await asyncio.sleep(_REOPEN_AFTER_S)
        return None

    async def _ping(self, worker: _Worker) -> bool:
        try:
            await asyncio.wait_for(asyncio.wrap_future(worker.submit(os.getpid)), self._bounds.card_timeout_s)
        except (*_GONE, asyncio.TimeoutError):
            return False
        return True


class _Worker:
    """One process with an open reader."""

    def __init__(self, make_reader: MakeReader, bounds: PoolBounds) -> None:
        self.usable = True
        self._pid = 0
        self._bounds = bounds
        self._cards = 0
        self._cpu_s = 0.0
        self._executor = loky.ProcessPoolExecutor(
            max_workers=1,
            initializer=open_reader,
            initargs=(make_reader, os.getpid()),
            env=_WORKER_ENVIRONMENT,
        )

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Raises BrokenProcessPool where the process is known to be dead; else the future may."""
        future: Future[Any] = self._executor.submit(function, *arguments)
        return future

    def is_open(self, pid: int) -> None:
        """It answers; what opening the reader took is on no picture's account."""
        self._pid = pid
        self._cpu_s = self.computed_s()

    def has_read(self, read: Reading) -> None:
        """One picture more; usable again unless it is worn out."""
        self._cards += 1
        self._cpu_s = read.worker_cpu_s
        self.usable = self._cards < self._bounds.cards_per_worker and read.worker_mb <= self._bounds.max_worker_mb / 2

    def computed_s(self) -> float:
        """Processor time spent on the picture under way; 0 where the process is gone."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return sum(psutil.Process(self._pid).cpu_times()[:2]) - self._cpu_s
        return 0.0

    def memory_mb(self) -> float:
        """Memory held now; 0 where the process is gone."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self._pid).memory_info().rss / 1e6
        return 0.0

    def kill(self, wait: bool = False) -> None:
        self._executor.shutdown(wait=wait, kill_workers=True)
