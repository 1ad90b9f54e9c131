"""One worker process: an image is handed to it, watched while it is read, and its answer or its end is told.

Each is a loky executor of one process. One executor of many would fail every image in progress when one
process dies, and could not end a single image that uses too much.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

import loky  # type: ignore[import-untyped]  # ships no types
import psutil
from loky.process_executor import ShutdownExecutorError  # type: ignore[import-untyped]  # as above

from endpoint.answers import ImageAnswer
from endpoint.errors import EndpointError
from endpoint.workers.worker_main import MakeReader, Reading, init_worker, read_image, receive_chunk

WorkerDied = (BrokenProcessPool, ShutdownExecutorError)
"""What waiting for a process raises once it has crashed, or was killed here."""

PIECE_BYTES = 4 << 20
"""Images are handed over in pieces of that size; most are one."""
_LOOK_EVERY_S = 0.1  # at what a process uses; short against the time in which a bomb fills a gigabyte
_ENVIRONMENT = {"OMP_THREAD_LIMIT": "1", "OPENBLAS_NUM_THREADS": "1"}
"""One core per worker: libraries that start a thread per core only get in each other's way."""


class CardTimeout(EndpointError):
    """An image took longer than allowed without computing much: stuck, or the machine is overloaded."""


@dataclass(frozen=True, slots=True)
class ProcessBounds:
    """What a process may use. An image may take `card_cpu_s` of computing, on a busy machine for `card_timeout_s`.

    Above `max_worker_mb` the process is killed; above half of it, or after `cards_per_worker`, it is worn out.
    """

    card_cpu_s: float
    card_timeout_s: float
    cards_per_worker: int
    max_worker_mb: float


class WorkerProcess:
    """A process with an open reader, for one image at a time; `usable` says whether for another one."""

    def __init__(self, make_reader: MakeReader, bounds: ProcessBounds) -> None:
        self.usable = False
        self._bounds = bounds
        self._cards = 0
        self._cpu_s = 0.0
        self._process: psutil.Process | None = None
        self._executor = loky.ProcessPoolExecutor(
            max_workers=1, initializer=init_worker, initargs=(make_reader, os.getpid()), env=_ENVIRONMENT
        )

    async def open(self) -> None:
        """Start it; returns when it can read. Raises Gone where its reader can't open."""
        pid = await self._call(os.getpid)
        try:
            self._process = psutil.Process(pid)
        except psutil.NoSuchProcess:
            raise BrokenProcessPool("crashed as soon as it was open") from None
        self._cpu_s = self._computed_s()  # what opening took is on no image's account
        self.usable = True

    async def read(self, image: bytes, get_thumb: bool, says_valid: bool) -> ImageAnswer:
        """One image -> its answer; one made to use up a machine counts as unreadable (code 3).

        Raises Gone where the process dies, CardTimeout, and ReaderFailed where the reader has a bug.
        """
        self.usable = False  # until it has answered: it may die, use too much, or the server may stop
        *pieces, last = [image[at : at + PIECE_BYTES] for at in range(0, max(1, len(image)), PIECE_BYTES)]
        for piece in pieces:
            self._executor.submit(
                receive_chunk, piece
            )  # one process takes them in turn; if it ends, so does the reading
        reading = self._call(read_image, last, get_thumb, says_valid)
        try:
            for _ in range(self._polls()):
                await asyncio.wait({reading}, timeout=_LOOK_EVERY_S)
                if reading.done():
                    return self._recent(reading.result()).answer
                if self._uses_too_much():
                    return ImageAnswer("3")
        finally:
            reading.cancel()  # nothing where it is done; else nobody would hear of its end
        raise CardTimeout

    async def answers(self) -> bool:
        """Whether it does anything at all within the time of an image; one that reads answers afterwards."""
        try:
            await asyncio.wait_for(self._call(os.getpid), self._bounds.card_timeout_s)
        except (*WorkerDied, asyncio.TimeoutError):
            return False
        return True

    def is_alive(self) -> bool:
        """Whether there is such a process still; loky notices an end only a moment later."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return self._process is not None and self._process.status() != psutil.STATUS_ZOMBIE
        return False

    def kill(self, wait: bool = False) -> None:
        """End it, whatever it does; `wait` until it is gone."""
        self._executor.shutdown(wait=wait, kill_workers=True)

    def _call(self, function: Any, *arguments: Any) -> asyncio.Future[Any]:
        return asyncio.wrap_future(self._executor.submit(function, *arguments))

    def _polls(self) -> int:
        """The time of an image in polls of its process: time in which the server itself stood still is no poll."""
        return math.ceil(self._bounds.card_timeout_s / _LOOK_EVERY_S)

    def _uses_too_much(self) -> bool:
        return self._memory_mb() > self._bounds.max_worker_mb or self._computed_s() > self._bounds.card_cpu_s

    def _recent(self, read: Reading) -> Reading:
        self._cards += 1
        self._cpu_s = read.worker_cpu_s
        self.usable = self._cards < self._bounds.cards_per_worker and read.worker_mb <= self._bounds.max_worker_mb / 2
        return read

    def _computed_s(self) -> float:
        """Processor time spent on the image in progress; 0 where the process is gone."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return sum(self._process.cpu_times()[:2]) - self._cpu_s if self._process else 0.0
        return 0.0

    def _memory_mb(self) -> float:
        """Memory held now; 0 where the process is gone."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return self._process.memory_info().rss / 1e6 if self._process else 0.0
        return 0.0
