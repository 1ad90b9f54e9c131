"""Who writes to an output: one run at a time, and a dead owner's claim is taken over.

Two runs at once would pay for the same picture twice and send at twice the rate. On a
local output the claim is a lock of the operating system, which goes with its process. In a
bucket it is an object that its owner rewrites every few seconds; it is judged by change, on
the observer's own clock, so no two clocks are compared.
"""

from __future__ import annotations

import fcntl
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson

from pipeline.exit import UsageError
from transforms.layout import RUNS
from transforms.storage import Folder

CLAIM_FILE = f"{RUNS}/claim.json"
BEAT_S = 5.0
_BEATS_TO_WAIT = 3


class ClaimLost(Exception):
    """Another process took the claim over."""


@contextmanager
def claimed(folder: Folder, run_id: str) -> Iterator[Callable[[], None]]:
    """Hold the claim on an output. Yields a check that raises ClaimLost once another process has it.

    Raises:
        UsageError: a living process has it.
    """
    claim = _local_claim(Path(folder.root, CLAIM_FILE), run_id) if folder.is_local else _bucket_claim(folder, run_id)
    with claim as check:
        yield check


def _content(run_id: str, token: str = "", beat: int = 0) -> bytes:
    owner = f"process {os.getpid()} on {socket.gethostname()}"
    return orjson.dumps({"run_id": run_id, "owner": owner, "token": token, "beat": beat})


def _refuse(content: bytes) -> UsageError:
    try:
        said = orjson.loads(content)
    except orjson.JSONDecodeError:  # taken this very moment
        return UsageError("another run is under way over this --output; wait for it")
    return UsageError(f"run {said['run_id']} is under way over this --output, in {said['owner']}; wait for it")


@contextmanager
def _local_claim(path: Path, run_id: str) -> Iterator[Callable[[], None]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise _refuse(file.read()) from None
        file.truncate(0)
        file.write(_content(run_id))
        file.flush()
        yield lambda: None


@contextmanager
def _bucket_claim(folder: Folder, run_id: str) -> Iterator[Callable[[], None]]:
    token = uuid.uuid4().hex
    _take(folder, run_id, token)
    stop, lost = threading.Event(), threading.Event()

    def beat() -> None:
        number = 0
        while not stop.wait(BEAT_S):
            number += 1
            try:
                if orjson.loads(folder.read(CLAIM_FILE))["token"] != token:
                    lost.set()
                    return
                folder.write(CLAIM_FILE, _content(run_id, token, number))
            except OSError:
                continue  # the next beat tries again; three silent ones let another take over

    def check() -> None:
        if lost.is_set():
            raise ClaimLost("another process took the run over: this one was silent for too long")

    thread = threading.Thread(target=beat, name="claim", daemon=True)
    thread.start()
    try:
        yield check
    finally:
        stop.set()
        thread.join()
        if not lost.is_set():
            with suppress(OSError):  # it stays: the next run waits until it shows no beat
                folder.delete([CLAIM_FILE])


def _take(folder: Folder, run_id: str, token: str, sleep: Callable[[float], None] = time.sleep) -> None:
    """Take a claim that is free, or whose owner shows no beat while three were due."""
    if folder.create(CLAIM_FILE, _content(run_id, token)):
        return
    seen = folder.read(CLAIM_FILE)
    for _ in range(_BEATS_TO_WAIT):
        sleep(BEAT_S)
        if (now := folder.read(CLAIM_FILE)) != seen:
            raise _refuse(now)
    folder.write(CLAIM_FILE, _content(run_id, token))
    sleep(BEAT_S)  # two may take over at once: the later write stays
    if orjson.loads(now := folder.read(CLAIM_FILE))["token"] != token:
        raise _refuse(now)
