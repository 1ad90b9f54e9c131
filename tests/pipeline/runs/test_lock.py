"""One run at a time has an output: a second is refused, a killed owner is followed, a lost lock ends the loser."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from cardbeam.ratelimit.membership import DEAD_AFTER_S
from cardbeam.run_state.liveness.run_lock import LOCK_FILE, is_taken_over
from cardbeam.run_state.liveness.worker_heartbeat import Heartbeat, await_silence
from cardbeam.storage.folder import Folder, LocalFolder
from pipeline.cli.exit_codes import UsageError
from pipeline.runs import lock as claim
from pipeline.runs.lock import refuse_living_workers, run_lock

LEASE = "runs/r1/leases/ab-{:09d}.lease"
HEARTBEAT = "runs/r1/heartbeats/ab-{:09d}.heartbeat"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return LocalFolder(str(tmp_path))


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A folder that is locked as a bucket is, with beats a hundred times as fast."""
    monkeypatch.setattr(claim, "HEARTBEAT_INTERVAL_S", 0.05)
    return LocalFolder(str(tmp_path), is_local=False)


class Waits:
    """A sleep that takes no time, and does something in it."""

    def __init__(self, step: Callable[[int], object] = lambda number: None) -> None:
        self.seconds: list[float] = []
        self._step = step

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self._step(len(self.seconds))


def ignore(_: Folder) -> None:
    """Nobody lives on."""


def lock(folder: Folder, run_id: str) -> claim._Lock:
    return claim._Lock(folder, run_id, f"run {run_id}")


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_second_run_is_refused_and_told_who_has_it(kind: str, request: pytest.FixtureRequest) -> None:
    """The message names the run, its process and its machine; the lock is free when its owner has ended."""
    output: Folder = request.getfixturevalue(kind)
    with (
        run_lock(output, "r1"),
        pytest.raises(UsageError, match=r"run r1 is in progress \(pid \d+ on .+\) over this --output: wait for it"),
        run_lock(output, "r2"),
    ):
        pass
    with run_lock(output, "", what="publish"), pytest.raises(UsageError, match="publish is in progress"):
        run_lock(output, "r3").__enter__()


def test_a_lock_without_a_beat_is_taken_over(bucket: Folder) -> None:
    """The lock of a killed process holds nobody up for longer than three beats, and is given back at the end."""
    bucket.create(LOCK_FILE, lock(bucket, "r1").content())
    with run_lock(bucket, "r2"):
        assert [is_taken_over(bucket, "r1"), is_taken_over(bucket, "r2")] == [True, False]
    assert list(bucket.list("runs")) == []


def test_a_lock_that_is_being_written_or_of_another_version_is_somebodys(folder: Folder) -> None:
    """What cannot be read in it makes no traceback of a refusal."""
    with run_lock(folder, "r1"):
        for content in (b"", b'{"run_id": "r', b"[]", b'{"run_id": "r1", "owner": "process 1 on vm"}'):
            Path(folder.root, LOCK_FILE).write_bytes(content)
            with pytest.raises(UsageError, match="another run is in progress over this --output"):
                run_lock(folder, "r2").__enter__()


def test_a_lock_that_is_given_back_meanwhile_is_free(bucket: Folder) -> None:
    """A run that begins as another ends waits for its next beat, sees that it is gone, and takes its place."""
    bucket.create(LOCK_FILE, lock(bucket, "r1").content())
    waits, ours = Waits(lambda _: bucket.delete([LOCK_FILE])), lock(bucket, "r2")
    claim._take(ours, ignore, waits)
    assert (len(waits.seconds), bucket.read(LOCK_FILE)) == (1, ours.content())


def test_of_two_that_take_over_at_once_one_has_the_lock(bucket: Folder) -> None:
    """The later write stays; who wrote before it is refused after the wait that follows its own."""
    bucket.create(LOCK_FILE, lock(bucket, "r1").content())
    theirs = lock(bucket, "r3").content()

    def write_theirs(number: int) -> None:
        if number == claim._HEARTBEATS_TO_WAIT + 1:
            bucket.write(LOCK_FILE, theirs)

    with pytest.raises(UsageError, match="run r3 is in progress"):
        claim._take(lock(bucket, "r2"), ignore, Waits(write_theirs))
    assert bucket.read(LOCK_FILE) == theirs


def test_a_lock_that_wakes_up_while_workers_are_looked_for_is_let_be(bucket: Folder) -> None:
    """An owner that renews its lock at the last moment keeps it."""
    first = lock(bucket, "r1")
    bucket.create(LOCK_FILE, first.content())
    waits, looked = Waits(), []

    def wake(output: Folder) -> None:
        looked.append(len(waits.seconds))
        output.write(LOCK_FILE, first.content(len(looked)))

    with pytest.raises(UsageError):
        claim._take(lock(bucket, "r2"), wake, waits)
    assert orjson.loads(bucket.read(LOCK_FILE))["run_id"] == "r1"


@pytest.mark.parametrize("is_gone", [True, False])
def test_who_loses_the_lock_is_told_and_leaves_it_to_the_other(bucket: Folder, is_gone: bool) -> None:
    """Also where the other has ended since, and gave it back: it closed this run by then."""
    lost, theirs = threading.Event(), lock(bucket, "r9").content()
    with run_lock(bucket, "r1", when_lost=lost.set):
        for _ in range(100):  # a beat that had looked before writes over what the other wrote, which beats too
            bucket.delete([LOCK_FILE]) if is_gone else bucket.write(LOCK_FILE, theirs)
            if lost.wait(0.1):
                break
        assert lost.is_set()
    assert [bucket.read(file.path) for file in bucket.list("runs")] == ([] if is_gone else [theirs])


@pytest.mark.parametrize("name", [LEASE, HEARTBEAT])
def test_workers_of_an_earlier_launch_are_let_be_while_they_show_life(folder: Folder, name: str) -> None:
    """They are given the time in which those of a cancelled job would have ended."""
    folder.write(name.format(7), b"")
    waits = Waits(lambda number: folder.write(name.format(7 + number), b""))
    with pytest.raises(UsageError, match="workers of an earlier launch still call"):
        refuse_living_workers(folder, sleep=waits)
    assert waits.seconds == [DEAD_AFTER_S] * 3


@pytest.mark.parametrize("name", [LEASE, HEARTBEAT])
def test_what_dead_workers_left_is_removed(folder: Folder, name: str) -> None:
    """One wait tells that they are failed, and nobody waits for them again."""
    folder.write(name.format(7), b"")
    waits = Waits()
    refuse_living_workers(folder, sleep=waits)
    refuse_living_workers(folder, sleep=waits)
    assert (waits.seconds, list(folder.list("runs"))) == ([DEAD_AFTER_S], [])


def test_no_worker_is_no_wait(folder: Folder) -> None:
    """Where no worker shows life a launch begins at once."""
    waits = Waits()
    refuse_living_workers(folder, sleep=waits)
    assert waits.seconds == []


def test_workers_that_were_told_to_stop_are_waited_for(folder: Folder) -> None:
    """One renews its lease twice more, and is killed; another gives its own back."""
    folder.write(LEASE.format(7), b"")
    other = Heartbeat(folder, "r2", "cd")
    other.beat()

    def step(number: int) -> None:
        if number <= 2:
            folder.write(LEASE.format(7 + number), b"")
        other.stop()

    waits = Waits(step)
    assert await_silence(folder, DEAD_AFTER_S, 60.0, waits)
    assert (waits.seconds, list(folder.list("runs"))) == ([DEAD_AFTER_S] * 3, [])


def test_only_the_workers_of_one_run_are_waited_for(folder: Folder) -> None:
    """Who asks for a run does not wait for another's."""
    folder.write(LEASE.format(7), b"")
    waits = Waits()
    assert await_silence(folder, DEAD_AFTER_S, 60.0, waits, run_id="r2")
    assert (waits.seconds, len(list(folder.list("runs")))) == ([], 1)


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_the_lock_is_not_touched_while_its_workers_live(kind: str, request: pytest.FixtureRequest) -> None:
    """Its launching process is failed or frozen, its workers are not: who comes is refused, and they keep the lock."""
    output: Folder = request.getfixturevalue(kind)
    orphaned = lock(output, "r1").content()
    output.write(LOCK_FILE, orphaned)

    def refuse(_: Folder) -> None:
        raise UsageError("workers live")

    with pytest.raises(UsageError, match="workers live"):
        run_lock(output, "r2", when_orphaned=refuse).__enter__()
    assert (output.read(LOCK_FILE), is_taken_over(output, "r1")) == (orphaned, False)


def test_a_worker_that_wakes_as_its_run_is_taken_over_is_waited_for(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It showed no life while it was looked for, and does so before it sees the lock with another."""
    woken = Heartbeat(folder, "r1", "ab")
    waits = Waits(lambda number: woken.stop())
    monkeypatch.setattr(claim, "refuse_living_workers", lambda folder, within_s: (
        refuse_living_workers(folder, within_s=within_s, sleep=waits)
    ))  # fmt: skip
    with run_lock(folder, "r2", when_orphaned=lambda _: woken.beat()):
        assert (waits.seconds, is_taken_over(folder, "r1")) == ([DEAD_AFTER_S], True)
