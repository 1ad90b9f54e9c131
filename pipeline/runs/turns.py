"""Commands that wait for the lock of an output, and how a watch lets them have it between two of its runs.

Who waits shows it by a file that changes every second; who looks judges by change, on its own clock.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress

import orjson

from cardbeam.run_state.layout import RUNS
from cardbeam.storage.folder import Folder
from pipeline.cli.terminal.output import tell
from pipeline.runs.lock import LockHeld

WAITING = f"{RUNS}/waiting"
_RETRY_S = 1.0
_SILENT_S = 15.0
"""A command that shows nothing for so long has ended. Trying a lock in a bucket takes some seconds."""
Clock = Callable[[], float]
Sleep = Callable[[float], object]
"""What it gives back is true where the waiting is to end."""


@contextmanager
def in_turn(
    folder: Folder,
    lock: Callable[[], AbstractContextManager[None]],
    wait_s: float,
    *,
    clock: Clock = time.monotonic,
    sleep: Sleep = time.sleep,
) -> Iterator[None]:
    """Hold a lock; where another process has it, wait for it to be free.

    Raises:
        LockHeld: it was not free within `wait_s`.
    """
    until_s = clock() + wait_s
    with ExitStack() as held:
        with _shown(folder) as show:
            while not _entered(held, lock, may_wait=clock() < until_s):
                show()
                sleep(_RETRY_S)
        yield


def _entered(held: ExitStack, lock: Callable[[], AbstractContextManager[None]], *, may_wait: bool) -> bool:
    try:
        held.enter_context(lock())
    except LockHeld:
        if not may_wait:
            raise
        return False
    return True


@contextmanager
def _shown(folder: Folder) -> Iterator[Callable[[], None]]:
    """Show each time that this process waits; nothing of it is left behind."""
    path, shown = f"{WAITING}/{uuid.uuid4().hex}", 0

    def show() -> None:
        nonlocal shown
        if not shown:
            tell("Waiting for another command to finish over this --output")
        shown += 1
        with suppress(OSError):  # the next time may be in time still
            folder.write(path, orjson.dumps(shown))

    try:
        yield show
    finally:
        if shown:
            with suppress(OSError):  # it is taken for lost
                folder.delete([path])


def give_turns(folder: Folder, within_s: float, *, clock: Clock = time.monotonic, sleep: Sleep = time.sleep) -> None:
    """Come back when no command waits for the lock any longer: those that did have it, or have had it.

    Raises:
        OSError: the folder cannot be used.
    """
    until_s, changed_s = clock() + within_s, clock()
    seen = _waiting(folder)
    while seen and clock() < until_s and not sleep(_RETRY_S):
        now = _waiting(folder)
        if now != seen:
            seen, changed_s = now, clock()
        elif clock() - changed_s > _SILENT_S:
            folder.delete(seen)
            return


def _waiting(folder: Folder) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for file in folder.list(WAITING):
        with suppress(FileNotFoundError):  # it has the lock by now
            found[file.path] = folder.read(file.path)
    return found
