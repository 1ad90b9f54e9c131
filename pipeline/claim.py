"""Who writes to an output: one run at a time, and a dead owner's claim is taken over.

Two runs at once would pay for the same picture twice and send at twice the rate. On a
local output the claim is a lock of the operating system, which goes with its process. In a
bucket it is an object that its owner rewrites every few seconds; it is judged by change, on
the observer's own clock, so no two clocks are compared. A cluster goes on with a job whose
launching process died: what its workers show is looked at too.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson

from pipeline.exit import EXIT_FAILED, UsageError
from transforms.layout import RUNS
from transforms.leases import DEAD_AFTER_S, LEASES, counts_of
from transforms.storage import Folder

CLAIM_FILE = f"{RUNS}/claim.json"
BEAT_S = 5.0
_BEATS_TO_WAIT = 3
_END_WITHIN_S = 15.0
"""For so long workers whose job was cancelled may call on, with what they have at hand (see `worker`)."""


def end_process() -> None:
    """End on the spot: whoever took over calls what is left, and going on would pay for it twice.

    What the journal holds is safe; it is made to be left at any moment.
    """
    print("another process took this run over: this one was silent for too long", file=sys.stderr, flush=True)
    os._exit(EXIT_FAILED)


@contextmanager
def claimed(
    folder: Folder,
    run_id: str,
    *,
    when_lost: Callable[[], None] = end_process,
    when_claimed: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Hold the claim on an output; `when_lost` is called, in a thread, once another process has it.

    `when_claimed` is called before it is looked whether workers of an earlier launch still call.

    Raises:
        UsageError: a living process has it, or workers of an earlier launch still call.
    """
    path = Path(folder.root, CLAIM_FILE)
    with _local_claim(path, run_id) if folder.is_local else _bucket_claim(folder, run_id, when_lost):
        when_claimed()
        refuse_living_workers(folder)
        yield


def refuse_living_workers(folder: Folder, sleep: Callable[[float], None] = time.sleep) -> None:
    """See whether workers of an earlier launch call on and on: then its job still runs on a cluster.

    Raises:
        UsageError: they do.
    """
    if not await_workers(folder, _END_WITHIN_S, sleep):
        raise UsageError(
            "workers of an earlier launch still call for this --output: wait for their job to end, or cancel it"
        )


def await_workers(folder: Folder, within_s: float, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Whether no lease of an earlier launch is renewed any longer, looked at for so long and once at least.

    What the dead have left is removed, so that nobody waits for it again.
    """
    waited_s, seen = 0.0, _leases(folder)
    while seen:
        sleep(DEAD_AFTER_S)
        waited_s, before, seen = waited_s + DEAD_AFTER_S, counts_of(seen), _leases(folder)
        if all(before.get(worker) == count for worker, count in counts_of(seen).items()):
            folder.delete(seen)
            return True
        if waited_s >= within_s:
            return False
    return True


def _leases(folder: Folder) -> list[str]:
    return [file.path for file in folder.list(RUNS) if LEASES in file.path.split("/")]


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
def _local_claim(path: Path, run_id: str) -> Iterator[None]:
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
        yield


@contextmanager
def _bucket_claim(folder: Folder, run_id: str, when_lost: Callable[[], None]) -> Iterator[None]:
    token = uuid.uuid4().hex
    _take(folder, run_id, token)
    over = threading.Event()

    def beat() -> None:
        for number in itertools.count(1):
            if over.wait(BEAT_S):
                return
            with suppress(OSError):  # the next beat tries again; three silent ones let another take over
                if orjson.loads(folder.read(CLAIM_FILE))["token"] != token:
                    when_lost()
                    return
                folder.write(CLAIM_FILE, _content(run_id, token, number))

    thread = threading.Thread(target=beat, name="claim", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        _give_back(folder, token)


def _give_back(folder: Folder, token: str) -> None:
    with suppress(OSError):  # it stays: the next run waits until it shows no beat
        if orjson.loads(folder.read(CLAIM_FILE))["token"] == token:
            folder.delete([CLAIM_FILE])


def _take(folder: Folder, run_id: str, token: str, sleep: Callable[[float], None] = time.sleep) -> None:
    """Take the claim: a free one, one that comes free while it is watched, or one whose owner is dead."""
    while not folder.create(CLAIM_FILE, _content(run_id, token)):
        with suppress(FileNotFoundError):  # its owner ended, and gave it back
            _take_over(folder, run_id, token, sleep)
            return


def _take_over(folder: Folder, run_id: str, token: str, sleep: Callable[[float], None]) -> None:
    """Take the claim of an owner that shows no beat while three were due."""
    seen = folder.read(CLAIM_FILE)
    for _ in range(_BEATS_TO_WAIT):
        sleep(BEAT_S)
        if (now := folder.read(CLAIM_FILE)) != seen:
            raise _refuse(now)
    folder.write(CLAIM_FILE, _content(run_id, token))
    sleep(BEAT_S)  # two may take over at once: the later write stays
    if orjson.loads(now := folder.read(CLAIM_FILE))["token"] != token:
        raise _refuse(now)
