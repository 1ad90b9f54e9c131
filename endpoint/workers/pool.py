"""Images -> answers, in worker processes: a bounded queue in front, and no crash that spreads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from endpoint.answers import ImageAnswer
from endpoint.errors import EndpointError
from endpoint.workers.process import ProcessBounds, WorkerDied, WorkerProcess
from endpoint.workers.worker_main import MakeReader

_logger = logging.getLogger(__name__)
_TRIES = 2
_REOPEN_AFTER_S = 1.0


class QueueFull(EndpointError):
    """As many images as may wait are waiting, or this one has waited as long as it may."""


class WorkerLost(EndpointError):
    """The workers that read an image crashed, both of them."""


class PoolClosed(EndpointError):
    """The workers were stopped with the server; the image may be sent again, to another one."""


@dataclass(frozen=True, slots=True)
class PoolBounds:
    """How many workers, how many images may wait for one and for how long, and what each may use."""

    workers: int
    max_waiting: int
    max_wait_s: float
    process: ProcessBounds


class WorkerPool:
    """Reads images in `bounds.workers` processes. All of it belongs to one event loop."""

    def __init__(self, make_reader: MakeReader, bounds: PoolBounds) -> None:
        self._make_reader = make_reader
        self._bounds = bounds
        self._workers: set[WorkerProcess] = set()
        self._free: asyncio.Queue[WorkerProcess] = asyncio.Queue()
        self._taken_places = 0
        self._reopening: set[asyncio.Task[None]] = set()
        self._closed = False

    async def start(self) -> None:
        """Open every worker; returns when all of them can read. Raises Gone where a reader can't open."""
        await asyncio.gather(*(self._open() for _ in range(self._bounds.workers)))

    def close(self) -> None:
        """Kill every worker; images in progress are lost. May be called twice."""
        self._closed = True
        for worker in self._workers:
            worker.kill(wait=True)
        self._workers.clear()

    @contextlib.contextmanager
    def places(self, count: int) -> Iterator[None]:
        """Hold places for images from before they are sent until they are answered. Raises QueueFull."""
        if self._taken_places + count > self._bounds.workers + self._bounds.max_waiting:
            raise QueueFull
        self._taken_places += count
        try:
            yield
        finally:
            self._taken_places -= count

    async def read(self, image: bytes, *, get_thumb: bool, says_valid: bool) -> ImageAnswer:
        """One image -> its answer, again on another worker if the first one dies of it or with it.

        Raises QueueFull where no worker comes free, WorkerLost where both crashed, PoolClosed, CardTimeout, and
        ReaderFailed where the reader has a bug.
        """
        for _ in range(_TRIES):
            worker = await self._living_worker()
            try:
                return await worker.read(image, get_thumb, says_valid)
            except WorkerDied:
                _logger.warning("a worker crashed while it read an image")
            finally:
                self._give_back(worker)
        raise PoolClosed if self._closed else WorkerLost

    async def is_healthy(self) -> bool:
        """Whether any worker answers within the time limit of a card, busy ones included."""
        asked = [asyncio.create_task(worker.answers()) for worker in self._workers]
        try:
            for first in asyncio.as_completed(asked):
                if await first:
                    return True
        finally:
            for task in asked:
                task.cancel()
        return False

    async def _living_worker(self) -> WorkerProcess:
        """The next free one; those that crashed while idle are replaced, and cost no image a try."""
        while not self._closed:
            try:
                worker = await asyncio.wait_for(self._free.get(), self._bounds.max_wait_s)
            except asyncio.TimeoutError:
                raise QueueFull from None
            if worker.is_alive():
                return worker
            worker.usable = False
            self._give_back(worker)
        raise PoolClosed

    def _give_back(self, worker: WorkerProcess) -> None:
        if worker.usable:
            self._free.put_nowait(worker)
        elif not self._closed:
            self._workers.discard(worker)
            worker.kill()
            task = asyncio.create_task(self._reopen())
            self._reopening.add(task)  # the loop alone would let it be collected
            task.add_done_callback(self._reopening.discard)

    async def _open(self) -> None:
        worker = WorkerProcess(self._make_reader, self._bounds.process)
        self._workers.add(worker)
        try:
            await worker.open()
        except WorkerDied:
            self._workers.discard(worker)
            raise
        self._free.put_nowait(worker)

    async def _reopen(self) -> None:
        while not self._closed:
            try:
                return await self._open()
            except (*WorkerDied, OSError):  # OSError: no process can be started, for want of memory or files
                if not self._closed:
                    _logger.error("worker failed to start; retrying in %s s", _REOPEN_AFTER_S)
                    await asyncio.sleep(_REOPEN_AFTER_S)
        return None
