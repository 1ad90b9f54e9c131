"""The lock of an output: one command writes to it at a time, and the lock of a killed one is taken over.

Two runs at once would pay for the same image twice and send at twice the rate. The lock belongs to the run: its
launching process renews it, and its workers keep it by their heartbeats (see `cardbeam.run_state.liveness.run_lock`).
On a local output it is a lock of the operating system, which goes with its process. In a bucket it is an object that
its owner rewrites every few seconds. Life is judged by change, on the observer's own clock, so no two clocks are
compared.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

import orjson

from cardbeam.periodic import repeated
from cardbeam.ratelimit.membership import DEAD_AFTER_S
from cardbeam.run_state.liveness.run_lock import CONFIRMED_FOR_S, LOCK_FILE, boottime_s, read_lock
from cardbeam.run_state.liveness.worker_heartbeat import await_silence, list_heartbeats
from cardbeam.storage.folder import Folder, make_folder
from pipeline.cli.exit_codes import EXIT_FAILED, UsageError
from pipeline.cli.signals import end_at_once

HEARTBEAT_INTERVAL_S = 5.0
"""Longer than `CONFIRMED_FOR_S`: a lock that was taken over is held for so long before its new owner begins."""
_HEARTBEATS_TO_WAIT = 3
_END_WITHIN_S = 15.0
"""For so long workers whose job was cancelled may call on, with what they have at hand (see `worker`)."""
_STOP_WITHIN_S = 60.0
"""For so long workers may take to stop that see the lock with another."""
_TRIES = 5
_INSTANTS_S = (0.0, 0.05, 0.2)


class LockHeld(UsageError):
    """Another process has the output, or workers of an earlier launch live on."""


def refuse_living_workers(
    folder: Folder, *, within_s: float = _END_WITHIN_S, sleep: Callable[[float], None] = time.sleep
) -> None:
    """See whether workers of an earlier launch live on: then its job still runs on a cluster.

    Raises:
        LockHeld: they do.
    """
    if not await_silence(folder, DEAD_AFTER_S, within_s, sleep):
        raise LockHeld(
            "workers of an earlier launch still call for this --output: wait for their job to end, or cancel it"
        )


def _end_process() -> None:
    """Whoever took over processes what is left, and going on would pay for it twice; the journal may be left at any
    moment."""
    end_at_once("Another process took over this run: this one did not respond for too long", EXIT_FAILED)


@contextmanager
def run_lock(
    folder: Folder,
    run_id: str,
    *,
    what: str = "",
    when_lost: Callable[[], None] = _end_process,
    when_orphaned: Callable[[Folder], None] = refuse_living_workers,
) -> Iterator[None]:
    """Hold the lock of an output for a run, or for a command (`what`) that is none.

    `when_orphaned` is called before the lock is taken, to deal with workers of an earlier launch that live on;
    `when_lost`, in a thread, once another process has it.

    Raises:
        LockHeld: another process has it, or workers of an earlier launch live on.
    """
    lock = _Lock(folder, run_id, what or f"run {run_id}")
    with _file_lock(lock, when_orphaned) if folder.is_local else _object_lock(lock, when_orphaned, when_lost):
        if list_heartbeats(folder):  # of workers that woke up: they see that the lock is not their run's
            refuse_living_workers(folder, within_s=_STOP_WITHIN_S)
        yield


@dataclass(frozen=True, slots=True)
class _Lock:
    """What this process writes into the lock."""

    folder: Folder
    run_id: str
    what: str
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def content(self, heartbeat: int = 0) -> bytes:
        owner = {"run_id": self.run_id, "what": self.what, "pid": os.getpid(), "host": socket.gethostname()}
        return orjson.dumps({**owner, "token": self.token, "beat": heartbeat, "at_s": int(time.time())})

    def is_held(self) -> bool:
        """Whether it stands in the bucket as ours. Raises as `read_lock` does."""
        held = read_lock(self.folder)
        return held is not None and held.get("token") == self.token

    def renew(self, heartbeat: int) -> bool:
        """Write the next beat; whether the lock was ours, which nobody else deletes. Raises as `read_lock` does."""
        started_s = boottime_s()
        if not self.is_held():
            return False
        if boottime_s() - started_s <= CONFIRMED_FOR_S:  # else this process was frozen, and it may be another's now
            self.folder.write(LOCK_FILE, self.content(heartbeat))
        return True


def _refuse(content: bytes) -> LockHeld:
    try:
        held = orjson.loads(content)
        owner = f"{held['what']} is in progress (pid {held['pid']} on {held['host']})"
    except (ValueError, KeyError, TypeError):  # taken this very moment, or by another version
        owner = "another run is in progress"
    return LockHeld(f"{owner} over this --output: wait for it to finish")


@contextmanager
def _file_lock(lock: _Lock, when_orphaned: Callable[[Folder], None]) -> Iterator[None]:
    path = Path(lock.folder.root, LOCK_FILE)
    make_folder(path.parent, lock.folder.file_mode)
    with _opened(path, lock.folder.file_mode) as file:
        if not _acquired(file):
            file.seek(0)
            raise _refuse(file.read())
        when_orphaned(lock.folder)
        file.truncate(0)
        file.write(lock.content())
        file.flush()
        yield


def _opened(path: Path, file_mode: int) -> BinaryIO:
    """A file to read and to add to, made where there is none."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, file_mode)
    with suppress(PermissionError):  # another user's, who lets us write
        os.fchmod(descriptor, file_mode)
    return cast(BinaryIO, os.fdopen(descriptor, "a+b"))


def _acquired(file: BinaryIO, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Lock a file; whether it was free. Who looks whether it is held (`liveness`) has it for an instant."""
    for wait_s in _INSTANTS_S:
        sleep(wait_s)
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


@contextmanager
def _object_lock(lock: _Lock, when_orphaned: Callable[[Folder], None], when_lost: Callable[[], None]) -> Iterator[None]:
    _take(lock, when_orphaned)
    numbers = itertools.count(1)

    def heartbeat() -> float | None:
        if lock.renew(next(numbers)):
            return HEARTBEAT_INTERVAL_S
        when_lost()
        return None

    try:
        with repeated("heartbeat", heartbeat, first_s=HEARTBEAT_INTERVAL_S):  # three silent ones let another take over
            yield
    finally:
        with suppress(OSError, ValueError):  # it stays: the next run waits until it shows no beat
            if lock.is_held():
                lock.folder.delete([LOCK_FILE])


def _take(lock: _Lock, when_orphaned: Callable[[Folder], None], sleep: Callable[[float], None] = time.sleep) -> None:
    """Take the lock: a free one, one that comes free while it is watched, or one whose owner was killed."""
    for _ in range(_TRIES):
        silent = _silent_lock(lock.folder, sleep)
        when_orphaned(lock.folder)
        if silent is None and lock.folder.create(LOCK_FILE, lock.content()):
            return
        if silent is not None and _read(lock.folder) == silent:
            _take_over(lock, sleep)
            return
    raise LockHeld("other runs begin and end over this --output: try again once they have ended")


def _silent_lock(folder: Folder, sleep: Callable[[float], None]) -> bytes | None:
    """The lock of an owner that shows no beat while three were due; None where there is none.

    Raises:
        LockHeld: its owner lives.
    """
    seen = _read(folder)
    for _ in range(_HEARTBEATS_TO_WAIT):
        if seen is None:
            return None
        sleep(HEARTBEAT_INTERVAL_S)
        if (now := _read(folder)) not in (seen, None):
            raise _refuse(now)
        seen = now
    return seen


def _read(folder: Folder) -> bytes | None:
    try:
        return folder.read(LOCK_FILE)
    except FileNotFoundError:
        return None


def _take_over(lock: _Lock, sleep: Callable[[float], None]) -> None:
    lock.folder.write(LOCK_FILE, lock.content())
    sleep(HEARTBEAT_INTERVAL_S)  # two may take over at once: the later write stays
    if not lock.is_held():
        raise _refuse(_read(lock.folder) or b"")
