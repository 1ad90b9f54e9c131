"""No permission is given while another run may have the lock: not after any pause, at whatever moment it begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from random import Random

import orjson
import pytest

from cardbeam.calls.worker_liveness import Liveness
from cardbeam.config.settings import EndpointSettings, InputSettings, OutputSettings, RateSettings, Settings
from cardbeam.ratelimit.membership import DEAD_AFTER_S
from cardbeam.ratelimit.throttle import Throttle
from cardbeam.run_state.layout import run_file
from cardbeam.run_state.liveness.run_lock import (
    CONFIRMED_FOR_S,
    LOCK_FILE,
    Hold,
    LockUnreadable,
    TakenOver,
    boottime_s,
    is_taken_over,
    refuse_if_taken_over,
)
from cardbeam.run_state.liveness.worker_heartbeat import Heartbeat, counts_of, list_heartbeats
from cardbeam.run_state.receipt import WATCHING, make_receipt, write_receipt
from cardbeam.run_state.stop_signal import StopSignal
from cardbeam.storage.folder import LocalFolder

BEGAN = datetime(2026, 11, 22, tzinfo=timezone.utc)


class Clock:
    """A clock that stands still but for sleeps; `frozen` is called at each reading of it."""

    def __init__(self) -> None:
        self.now_s, self.slept_s = 1000.0, 0.0
        self.frozen: Callable[[], float] = lambda: 0.0

    def __call__(self) -> float:
        self.now_s += self.frozen()
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.slept_s += seconds


class CountingFolder(LocalFolder):
    """Counts the reads of the lock; `before_read` is called before each."""

    reads: int
    before_read: Callable[[], object]

    def read(self, path: str) -> bytes:
        if path == LOCK_FILE:
            object.__setattr__(self, "reads", self.reads + 1)
            self.before_read()
        return super().read(path)


@pytest.fixture
def folder(tmp_path: Path) -> CountingFolder:
    counting = CountingFolder(str(tmp_path))
    object.__setattr__(counting, "reads", 0)
    object.__setattr__(counting, "before_read", lambda: None)
    lock(counting, "r1")
    return counting


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lock(folder: LocalFolder, run_id: str) -> None:
    folder.write(LOCK_FILE, orjson.dumps({"run_id": run_id}))


def end(folder: LocalFolder, run_id: str, status: str) -> None:
    settings = Settings(InputSettings(), EndpointSettings(), RateSettings(), OutputSettings(run_id=run_id))
    receipt = make_receipt(settings, {}, [], [], None, started_at=BEGAN, finished_at=BEGAN)
    write_receipt(folder, replace(receipt, status=status))


@pytest.mark.parametrize(
    ("held_by", "status", "expected"),
    [
        ("r1", None, False),
        ("r1", WATCHING, False),
        ("r2", None, True),
        (None, None, False),  # its launching process ended, its job goes on
        (None, WATCHING, False),
        (None, "interrupted", True),  # another closed it, and has ended since
        (None, "complete", True),
    ],
)
def test_whose_the_run_is(folder: CountingFolder, held_by: str | None, status: str | None, expected: bool) -> None:
    """The lock tells; where there is none, the receipt does."""
    folder.delete([LOCK_FILE])
    if held_by:
        lock(folder, held_by)
    if status:
        end(folder, "r1", status)
    assert is_taken_over(folder, "r1") is expected
    if expected:
        with pytest.raises(TakenOver, match="run r1"):
            refuse_if_taken_over(folder, "r1")
    else:
        refuse_if_taken_over(folder, "r1")


def test_a_permission_reads_the_lock_only_where_it_was_not_confirmed_lately(
    folder: CountingFolder, clock: Clock
) -> None:
    """In the hot path there is one reading of the clock."""
    hold = Hold(folder, "r1", pytest.fail, clock=clock, sleep=clock.sleep)
    reads = []
    for pause_s in (0.0, 0.1, CONFIRMED_FOR_S - 0.2, 0.2, 30.0, 0.0):
        clock.now_s += pause_s
        hold.confirm()
        reads.append(folder.reads)
    assert reads == [1, 1, 1, 2, 3, 3]


def test_who_wakes_up_after_a_takeover_gives_no_permission(folder: CountingFolder, clock: Clock) -> None:
    """Not the next one, and none of those that follow, though the lock should come free again."""
    stop = StopSignal(folder, "r1")
    hold = Hold(folder, "r1", stop.abandon, clock=clock, sleep=clock.sleep)
    throttle = Throttle(15.0, clock, clock.sleep, ask=hold.confirm)
    given = []
    for number in range(40):
        if number == 20:  # frozen in between
            clock.now_s += 26.0
            lock(folder, "r2")
        if number == 30:
            folder.delete([LOCK_FILE])
        throttle.wait(lambda: stop.is_set).release()
        given.append(not stop.is_set)
    assert given == [True] * 20 + [False] * 20
    assert list(folder.list(run_file("r1", "stop.json"))) == []  # the run is another's: its reasons too


def test_a_pause_while_the_lock_is_read_has_it_read_again(folder: CountingFolder, clock: Clock) -> None:
    """What was read before the pause tells nothing of the time after it."""
    lost: list[str] = []

    def freeze() -> None:
        if folder.reads == 1:
            object.__setattr__(folder, "before_read", lambda: None)
            clock.frozen = thaw

    def thaw() -> float:  # between the read and the next reading of the clock
        clock.frozen = lambda: 0.0
        lock(folder, "r2")
        return 26.0

    object.__setattr__(folder, "before_read", freeze)
    Hold(folder, "r1", lambda: lost.append("lost"), clock=clock, sleep=clock.sleep).confirm()
    assert (folder.reads, lost) == (2, ["lost"])


def test_while_the_lock_cannot_be_read_nothing_is_given(folder: CountingFolder, clock: Clock) -> None:
    """A store that is away for a while is waited for; for a minute, then the run fails with its words."""
    hold = Hold(folder, "r1", pytest.fail, clock=clock, sleep=clock.sleep)

    def away() -> None:
        if clock.slept_s < 30:
            raise OSError("503 Slow Down")

    object.__setattr__(folder, "before_read", away)
    hold.confirm()
    assert clock.slept_s == 30
    clock.slept_s, clock.now_s = -1000.0, clock.now_s + 60
    with pytest.raises(LockUnreadable, match="could not be read for 60 s") as raised:
        hold.confirm()
    assert str(raised.value.__cause__) == "503 Slow Down"
    assert clock.slept_s == -1000 + 61


def test_a_lock_that_is_being_written_is_read_again(folder: CountingFolder, clock: Clock) -> None:
    """On a local disk it is written in place, under the system's lock on the file."""
    whole = folder.read(LOCK_FILE)
    contents = iter([b"", whole[:5], whole])
    object.__setattr__(folder, "before_read", lambda: Path(folder.root, LOCK_FILE).write_bytes(next(contents, whole)))
    Hold(folder, "r1", pytest.fail, clock=clock, sleep=clock.sleep).confirm()
    assert clock.slept_s == 2.0


def test_life_is_shown_before_the_lock_is_read(folder: CountingFolder, clock: Clock) -> None:
    """So of a worker that wakes and a launch that takes over one sees the other, whoever is first."""
    seen: list[list[str]] = []
    heartbeat = Heartbeat(folder, "r1", "ab")
    object.__setattr__(folder, "before_read", lambda: seen.append(list_heartbeats(folder)))
    hold = Hold(folder, "r1", pytest.fail, heartbeat.beat, clock=clock, sleep=clock.sleep)
    hold.poll()
    hold.poll()
    heartbeat.stop()
    assert seen == [[f"runs/r1/heartbeats/ab-00000000{number}.heartbeat"] for number in (1, 2)]
    assert list_heartbeats(folder) == []


class World:
    """Two runs over one output in made-up time: a worker of the first, frozen at random moments, and a launch."""

    def __init__(self, seed: int, folder: LocalFolder) -> None:
        self.random, self.folder, self.now_s = Random(seed), folder, 0.0
        self.heartbeat = Heartbeat(folder, "r1", "ab")
        self.hold = Hold(folder, "r1", self.lose, self.beat, clock=self.clock, sleep=lambda _: self.freeze())
        self.has_ended = False
        self.begun_s: float | None = None
        self.launch = self._launch()
        self.next_s = self.random.uniform(0, 30)

    def freeze(self) -> None:
        """Now and then the worker stands still, at whatever it does, and the launch goes on."""
        self.now_s += self.random.choice([0.01] * 8 + [1.0, self.random.uniform(0, 40)])
        while self.begun_s is None and self.next_s <= self.now_s:
            self.next_s += next(self.launch, 0.0)

    def clock(self) -> float:
        self.freeze()
        return self.now_s

    def beat(self) -> None:
        self.freeze()
        self.heartbeat.beat()
        self.freeze()

    def lose(self) -> None:
        self.has_ended = True

    def release(self) -> None:
        """Idle for a moment."""
        self.hold.release()
        self.freeze()
        self.heartbeat.stop()
        self.freeze()

    def _await_silence(self) -> Iterator[float]:
        seen = list_heartbeats(self.folder)
        while seen:
            yield DEAD_AFTER_S
            before, seen = counts_of(seen), list_heartbeats(self.folder)
            if counts_of(seen) == before:
                self.folder.delete(seen)
                return

    def _launch(self) -> Iterator[float]:
        """What `claimed` does, with a wait wherever one may be."""
        yield from self._await_silence()
        yield self.random.uniform(0, 1)
        lock(self.folder, "r2")
        yield self.random.uniform(0, 0.1)
        yield from self._await_silence()
        self.begun_s = self.next_s


def test_a_frozen_worker_and_a_launch_never_send_at_once(tmp_path: Path) -> None:
    """Whenever the worker is frozen, and for however long, it sends nothing once the other run has begun."""
    outcomes = set()
    for seed in range(300):
        folder = LocalFolder(str(tmp_path / str(seed)))
        lock(folder, "r1")
        world = World(seed, folder)
        sent_s = 0.0
        while not world.has_ended and world.now_s < 300:
            world.hold.confirm()
            if not world.has_ended:
                sent_s = world.now_s
                {0: world.release, 1: world.freeze}.get(world.random.randrange(6), lambda: None)()
        assert world.begun_s is None or sent_s <= world.begun_s
        outcomes.add((world.has_ended, world.begun_s is not None))
    assert (True, True) in outcomes


def test_the_clock_goes_on_while_the_machine_sleeps() -> None:
    """It is none that a suspended machine stops, where the system has one."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        pytest.skip("no such clock here")
    assert time.clock_gettime(time.CLOCK_BOOTTIME) <= boottime_s() <= time.clock_gettime(time.CLOCK_BOOTTIME)


@pytest.mark.parametrize(
    ("is_alone", "is_local", "rate", "tasks", "files"),
    [
        (True, True, RateSettings(), 0, []),  # the system holds the lock for its process
        (True, False, RateSettings(), 1, []),
        (False, True, RateSettings(), 2, ["leases"]),
        (False, True, RateSettings(max_requests_per_second=0), 1, ["heartbeats"]),
        (False, False, RateSettings(rate_uri="h:1/d/k=v"), 1, ["heartbeats"]),
    ],
)
def test_each_worker_that_may_outlive_its_launch_shows_life(
    tmp_path: Path, is_alone: bool, is_local: bool, rate: RateSettings, tasks: int, files: list[str]
) -> None:
    """By its lease, or where it shares no rate by a heartbeat; when it leaves, nothing of it is left."""
    folder = LocalFolder(str(tmp_path), is_local=is_local)
    life = Liveness(folder, "r1", rate, StopSignal(folder, "r1"), is_alone=is_alone)
    for beat in life.tasks:
        beat()
    assert (len(life.tasks), [path.split("/")[2] for path in list_heartbeats(folder)]) == (tasks, files)
    life.release()
    assert list_heartbeats(folder) == []


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_lock_that_is_read_after_the_end_stops_the_worker_and_no_process(tmp_path: Path, is_alone: bool) -> None:
    """The run is complete and its lock is gone; its process may have its report to write, or be a user's own."""
    folder = LocalFolder(str(tmp_path), is_local=False)
    stop = StopSignal(folder, "r1")
    life = Liveness(folder, "r1", RateSettings(), stop, is_alone=is_alone)
    end(folder, "r1", "complete")
    for task in life.tasks:
        task()
    assert stop.is_set
