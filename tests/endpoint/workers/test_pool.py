"""An image is answered once whatever becomes of a worker process, within bounds of time, memory and queue."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from PIL import Image

from endpoint.answers import ImageAnswer
from endpoint.workers.pool import PoolBounds, PoolClosed, QueueFull, WorkerLost, WorkerPool
from endpoint.workers.process import CardTimeout, ProcessBounds, WorkerDied
from endpoint.workers.worker_main import ReaderFailed
from tests.endpoint.conftest import worker_processes
from tests.endpoint.simple_reader import (
    BACK,
    BEGUN,
    BROKEN,
    BUSY,
    DEADLY,
    DEADLY_ONCE,
    ENDLESS,
    FRONT,
    GREEDY,
    HOARDING,
    NOTES,
    PROCESS,
    SECRET,
    SLOW,
    SimpleReader,
    image_of,
    info_of,
)

pytestmark = pytest.mark.slow

PROCESS_BOUNDS = ProcessBounds(card_cpu_s=60, card_timeout_s=60, cards_per_worker=1000, max_worker_mb=2000)
BOUNDS = PoolBounds(workers=1, max_waiting=8, max_wait_s=60, process=PROCESS_BOUNDS)
FRONT_ANSWER = ImageAnswer("0", ({"type": "chip_id_card_front", "info": info_of("chip_id_card_front")},))


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NOTES, str(tmp_path))


@asynccontextmanager
async def started(workers: int = 1, max_wait_s: float = 60, **process: float) -> AsyncIterator[WorkerPool]:
    bounds = replace(BOUNDS, workers=workers, max_wait_s=max_wait_s, process=replace(PROCESS_BOUNDS, **process))
    pool = WorkerPool(SimpleReader, bounds)
    try:
        await pool.start()
        yield pool
    finally:
        pool.close()


def run(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 120))


def read(pool: WorkerPool, colour: tuple[int, int, int]) -> Awaitable[ImageAnswer]:
    return pool.read(image_of(colour), get_thumb=False, says_valid=False)


def large_of(colour: tuple[int, int, int]) -> bytes:
    """9 MB, handed over in pieces; the pixel that tells comes last."""
    out = io.BytesIO()
    Image.new("RGB", (2000, 1500), colour).save(out, "BMP")
    return out.getvalue()


async def process_of(pool: WorkerPool) -> tuple[int, int]:
    """A worker's process id, and how many images it had read."""
    answer = await read(pool, PROCESS)
    pid, read_before = answer.documents[0]["info"]["issued_at"].split()
    return int(pid), int(read_before)


def worker_pids() -> set[int]:
    return {process.pid for process in worker_processes(os.getpid())}


@pytest.mark.parametrize("colour", [FRONT, DEADLY_ONCE], ids=["read", "read by the second process"])
def test_a_large_image_arrives_whole_and_none_of_it_stays(colour: tuple[int, int, int]) -> None:
    async def story() -> None:
        async with started() as pool:
            answer = await pool.read(large_of(colour), get_thumb=False, says_valid=False)
            after = await read(pool, BACK)
        assert (answer, after.documents[0]["type"]) == (FRONT_ANSWER, "chip_id_card_back")

    run(story)


def is_dead(pid: int) -> bool:
    """Killing takes a moment; not waited for with psutil, which would take the exit status away from loky."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_images_are_answered_by_their_own_answers() -> None:
    async def story() -> None:
        async with started(workers=2) as pool:
            answers = await asyncio.gather(*(read(pool, colour) for colour in (FRONT, BACK) * 5))
        back = ImageAnswer("0", ({"type": "chip_id_card_back", "info": info_of("chip_id_card_back")},))
        assert answers == [FRONT_ANSWER, back] * 5

    run(story)


def test_an_image_whose_worker_is_killed_is_read_by_another(tmp_path: Path) -> None:
    async def story() -> None:
        async with started() as pool:
            pid, _ = await process_of(pool)
            reading = asyncio.ensure_future(read(pool, SLOW))
            while not (tmp_path / BEGUN).exists():
                await asyncio.sleep(0.01)
            os.kill(pid, signal.SIGKILL)
            assert await reading == FRONT_ANSWER
            assert (await process_of(pool))[0] != pid

    run(story)


def test_an_image_that_kills_its_worker_once_is_answered_and_twice_is_lost() -> None:
    async def story() -> None:
        async with started() as pool:
            assert await read(pool, DEADLY_ONCE) == FRONT_ANSWER
            with pytest.raises(WorkerLost):
                await read(pool, DEADLY)
            assert await read(pool, FRONT) == FRONT_ANSWER

    run(story)


def test_a_deadly_image_harms_no_other() -> None:
    async def story() -> None:
        async with started(workers=2) as pool:
            calm = asyncio.ensure_future(read(pool, SLOW))
            with pytest.raises(WorkerLost):
                await read(pool, DEADLY)
            assert not calm.done() or calm.result() == FRONT_ANSWER
            assert await calm == FRONT_ANSWER

    run(story)


def test_workers_killed_while_idle_cost_no_try() -> None:
    async def story() -> None:
        async with started(workers=3) as pool:
            for pid in (killed := worker_pids()):
                os.kill(pid, signal.SIGKILL)
            while not all(map(is_dead, killed)):
                await asyncio.sleep(0.01)
            assert await read(pool, FRONT) == FRONT_ANSWER

    run(story)


def test_an_image_that_takes_too_long_is_given_up_and_its_process_ended() -> None:
    async def story() -> None:
        async with started(card_timeout_s=1) as pool:
            pids = worker_pids()
            with pytest.raises(CardTimeout):
                await read(pool, ENDLESS)
            assert await read(pool, FRONT) == FRONT_ANSWER
            assert not pids & worker_pids()

    run(story)


def test_an_image_that_keeps_a_worker_computing_too_long_is_unreadable() -> None:
    async def story() -> None:
        async with started(card_cpu_s=0.5) as pool:
            assert await read(pool, BUSY) == ImageAnswer("3")
            assert await read(pool, FRONT) == FRONT_ANSWER

    run(story)


def test_an_image_that_needs_more_memory_than_there_is_is_unreadable() -> None:
    async def story() -> None:
        async with started(max_worker_mb=600) as pool:
            assert await read(pool, GREEDY) == ImageAnswer("3")
            assert await read(pool, FRONT) == FRONT_ANSWER

    run(story)


def test_a_worker_is_replaced_after_its_number_of_images() -> None:
    async def story() -> None:
        async with started(cards_per_worker=2) as pool:
            processes = [await process_of(pool) for _ in range(5)]
        assert [read_before for _, read_before in processes] == [0, 1, 0, 1, 0]
        assert len({pid for pid, _ in processes}) == 3

    run(story)


def test_a_worker_above_its_memory_is_replaced() -> None:
    async def story() -> None:
        async with started(max_worker_mb=600) as pool:
            assert (await process_of(pool))[1] == 0
            await read(pool, HOARDING)
            assert (await process_of(pool))[1] == 0
            assert (await process_of(pool))[1] == 1

    run(story)


def test_no_more_images_are_taken_than_may_wait() -> None:
    async def story() -> None:
        pool = WorkerPool(SimpleReader, replace(BOUNDS, workers=2, max_waiting=1))
        with pool.places(2), pool.places(1), pytest.raises(QueueFull), pool.places(1):
            pass
        with pool.places(3):
            pass

    run(story)


def test_no_image_waits_longer_than_it_may() -> None:
    async def story() -> None:
        async with started(max_wait_s=0.2) as pool:
            held = asyncio.ensure_future(read(pool, ENDLESS))
            await asyncio.sleep(0)
            with pytest.raises(QueueFull):
                await read(pool, FRONT)
            assert not held.done()
        with pytest.raises(PoolClosed):
            await held

    run(story)


def test_health_is_whether_a_worker_answers() -> None:
    async def story() -> None:
        async with started(workers=2, card_timeout_s=5) as pool:
            busy = asyncio.ensure_future(read(pool, ENDLESS))
            await asyncio.sleep(0.1)
            assert await pool.is_healthy(), "one is free"
            for pid in worker_pids():
                os.kill(pid, signal.SIGSTOP)
            asked_at = time.monotonic()
            assert not await pool.is_healthy(), "none moves"
            assert time.monotonic() - asked_at < 10
            with pytest.raises(CardTimeout):
                await busy

    run(story)


def test_a_bug_of_the_reader_is_said_without_its_message() -> None:
    async def story() -> None:
        async with started() as pool:
            with pytest.raises(ReaderFailed, match=r"^RuntimeError at simple_reader\.py:\d+$") as caught:
                await read(pool, BROKEN)
            assert SECRET not in f"{caught.value!r} {caught.value.__cause__}"

    run(story)


def test_a_reader_that_can_not_open_is_an_error_at_the_start() -> None:
    async def story() -> None:
        pool = WorkerPool("tests.endpoint.simple_reader:NoSuchReader", BOUNDS)
        with pytest.raises(WorkerDied):
            await pool.start()
        pool.close()

    run(story)


def test_closing_leaves_no_process() -> None:
    async def story() -> None:
        async with started(workers=2) as pool:
            reading = asyncio.ensure_future(read(pool, ENDLESS))
            await asyncio.sleep(0.1)
            assert len(worker_pids()) == 2
        assert worker_pids() == set()
        with pytest.raises(PoolClosed):
            await reading

    run(story)
