"""Whether a run's process lives is told by the lock it holds, or by its heartbeat; never by comparing two clocks."""

from __future__ import annotations

import fcntl
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from cardbeam.run_state.liveness.heartbeat import WatchHeartbeat, write_watch_heartbeat
from cardbeam.run_state.liveness.run_lock import LOCK_FILE
from cardbeam.run_state.liveness.worker_heartbeat import Heartbeat
from cardbeam.storage.folder import LocalFolder
from pipeline.runs.liveness import HEARTBEAT_TIMEOUT_S, Observer, is_alive

RUN = "run-1"


class Seen:
    """An observer of a local output, and its clock; `meanwhile` is what happens while it waits."""

    def __init__(self, path: Path, *, is_local: bool = True) -> None:
        self.folder = LocalFolder(str(path), is_local)
        self.now_s, self.heartbeats = 0.0, 0

    def hold(self, content: object) -> None:
        self.folder.write(LOCK_FILE, orjson.dumps(content))

    def beat(self) -> None:
        self.heartbeats += 1
        write_watch_heartbeat(self.folder, RUN, WatchHeartbeat("s", 0, is_ending=False, number=self.heartbeats))

    def lives(self, *, heartbeats: bool = False, run_id: str = RUN) -> tuple[bool, float]:
        """The answer, and how long it took."""

        def sleep(seconds: float) -> None:
            self.now_s += seconds
            if heartbeats:
                self.beat()

        began_s = self.now_s
        return is_alive(Observer(self.folder, run_id, lambda: self.now_s), sleep), self.now_s - began_s


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    return Seen(tmp_path)


@contextmanager
def locked(folder: LocalFolder) -> Iterator[None]:
    with Path(folder.root, LOCK_FILE).open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def test_the_lock_of_this_machine_tells_at_once(seen: Seen) -> None:
    """Held, its owner lives; free, its owner is gone, whatever it left behind."""
    seen.hold({"run_id": RUN, "host": socket.gethostname()})
    seen.beat()
    with locked(seen.folder):
        held = seen.lives()
    assert (held, seen.lives()) == ((True, 0.0), (False, 0.0))


def test_a_lock_of_another_run_or_none_is_no_life(seen: Seen) -> None:
    """The run that is asked about did not end, and nobody works on it."""
    nobody = seen.lives()
    seen.hold({"run_id": "run-2", "host": socket.gethostname()})
    with locked(seen.folder):
        assert (nobody, seen.lives(), seen.lives(run_id="run-2")[0]) == ((False, 0.0), (False, 0.0), True)


@pytest.mark.parametrize("is_local", [True, False])
def test_elsewhere_a_heartbeat_tells(tmp_path: Path, is_local: bool) -> None:
    """In a bucket, or on a disk that another machine mounts: one beat is life, and none while three were due is not."""
    seen = Seen(tmp_path, is_local=is_local)
    seen.hold({"run_id": RUN, "host": "another", "beat": 1})
    seen.beat()
    lives, took_s = seen.lives(heartbeats=True)
    failed_record, waited_s = seen.lives()
    assert (lives, failed_record, took_s < 5.0, HEARTBEAT_TIMEOUT_S < waited_s < HEARTBEAT_TIMEOUT_S + 2) == (
        True,
        False,
        True,
        True,
    )


def test_the_claim_of_a_bucket_is_a_heartbeat_too(tmp_path: Path) -> None:
    """A run that is no watch has no other."""
    seen = Seen(tmp_path, is_local=False)
    seen.hold({"run_id": RUN, "host": "another", "beat": 1})
    observer = Observer(seen.folder, RUN, lambda: seen.now_s)
    polled = [observer.poll(), observer.poll()]
    seen.hold({"run_id": RUN, "host": "another", "beat": 2})
    assert [*polled, observer.poll(), observer.poll()] == [None, None, True, None]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7"])
def test_a_lock_that_is_being_written_or_damaged_is_waited_for(seen: Seen, content: bytes) -> None:
    """Nothing is told of it but by the lock itself, or by no heartbeat."""
    seen.folder.write(LOCK_FILE, content)
    with locked(seen.folder):
        held = seen.lives()
    assert (held[0], seen.lives()[0]) == (True, False)


def test_workers_that_show_life_are_a_job_without_its_launching_process(seen: Seen) -> None:
    """The lock of this machine is free, and a heartbeat of a worker changes: the job goes on. Silent, it is gone."""
    seen.hold({"run_id": RUN, "host": socket.gethostname()})
    worker = Heartbeat(seen.folder, RUN, "0" * 32)
    worker.beat()
    observer = Observer(seen.folder, RUN, lambda: seen.now_s)
    first = observer.poll()
    worker.beat()
    second = observer.poll()
    seen.now_s += HEARTBEAT_TIMEOUT_S + 1
    assert (first, second, observer.poll()) == (None, True, False)
