"""The lock of an output, as the workers of the run that holds it see it: no call once another run may have it.

A launch takes the lock over from a run that shows no life for a while (see `pipeline.runs.lock`). Whoever was frozen
for so long (a suspended machine, SIGSTOP, swap) wakes up in the middle of a step. So each permission to send asks
how long ago the lock was confirmed, on a clock that goes on while the machine sleeps; after `CONFIRMED_FOR_S` it is
read first.

**Why no two runs call at once.** A worker shows life (writes a heartbeat), then reads the lock, then calls, for
`CONFIRMED_FOR_S` from the start of the read at the most. A launch writes the lock, then looks for heartbeats. So one of
the two sees the other: the worker stops, or the launch waits until it shows no life. A worker in the launching process
has no heartbeat but the lock's own; whoever takes a silent lock over waits for longer than `CONFIRMED_FOR_S` after
writing it.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

import orjson

from cardbeam.errors import CardbeamError
from cardbeam.run_state.layout import RUNS
from cardbeam.run_state.receipt import read_receipt
from cardbeam.storage.folder import Folder
from cardbeam.storage.state_file import is_of

LOCK_FILE = f"{RUNS}/lock.json"
CONFIRMED_FOR_S = 4.0
_GIVE_UP_S = 60.0
_RETRY_S = 1.0


class LockUnreadable(CardbeamError, OSError):
    """The lock could not be read for so long that the run gives up."""


class TakenOver(CardbeamError, RuntimeError):
    """Another launch closed this run, or is closing it: whatever is left to do is not this job's any longer."""


def boottime_s() -> float:
    """Seconds on a clock that goes on while the machine is suspended, where the system has one."""
    return time.clock_gettime(_BOOTTIME)


_BOOTTIME: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # macOS: its monotonic clock goes on in sleep


def read_lock(folder: Folder) -> dict[str, Any] | None:
    """What the holder of the lock wrote; None where nobody did.

    Raises:
        OSError: it cannot be read.
        ValueError: it is being written, or damaged: its owner writes it again.
    """
    try:
        held = orjson.loads(folder.read(LOCK_FILE))
    except FileNotFoundError:
        return None
    if not is_of(held, dict[str, Any]) or "run_id" not in held:
        raise ValueError(f"{LOCK_FILE} is not whole")
    return dict(held)


def is_taken_over(folder: Folder, run_id: str) -> bool:
    """Whether another has the lock, or had it and closed this run. Raises as `read_lock` does."""
    held = read_lock(folder)
    if held is not None:
        return bool(held["run_id"] != run_id)
    receipt = read_receipt(folder, run_id)  # its launching process ended; whoever came since closed the run
    return receipt is not None and receipt.has_ended


def refuse_if_taken_over(folder: Folder, run_id: str) -> None:
    """See that the run is still its job's to publish and to end.

    Raises:
        TakenOver: it is not. Others as `read_lock`.
    """
    if is_taken_over(folder, run_id):
        raise TakenOver(f"another launch took over run {run_id}")


class Hold:
    """A worker's share in its run's lock. `poll` is for one thread, `confirm` for one at a time."""

    def __init__(
        self,
        folder: Folder,
        run_id: str,
        when_lost: Callable[[], None],
        show_life: Callable[[], None] = lambda: None,
        *,
        clock: Callable[[], float] = boottime_s,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`when_lost` is called each time that the lock is found with another; it must end the sending."""
        self._folder, self._run_id = folder, run_id
        self._when_lost, self._show_life = when_lost, show_life
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._confirmed_s = -math.inf
        self._lost = False

    def poll(self) -> None:
        """Show life, then see whose the lock is.

        Raises:
            OSError: the store does not tell; the next time may be in time still.
            ValueError: the lock is being written.
        """
        with self._lock:
            started_s = self._clock()
            self._show_life()
            if is_taken_over(self._folder, self._run_id):
                self._lost = True
            else:
                self._confirmed_s = started_s
        if self._lost:
            self._when_lost()

    def release(self) -> None:
        """Forget what was confirmed, before this worker stops to show life: it is shown again before the next call."""
        self._confirmed_s = -math.inf

    def confirm(self) -> None:
        """Return at once if the lock was confirmed lately, else when it is; or after `when_lost`.

        Raises:
            LockUnreadable: the store does not tell whose it is.
        """
        if self._clock() - self._confirmed_s <= CONFIRMED_FOR_S and not self._lost:
            return
        began_s = self._clock()
        while (error := self._failure()) is not None:
            if self._clock() - began_s > _GIVE_UP_S:
                raise LockUnreadable(f"{LOCK_FILE} could not be read for {_GIVE_UP_S:.0f} s") from error
            self._sleep(_RETRY_S)

    def _failure(self) -> Exception | None:
        """Look until the answer is a fresh one; why there is none."""
        try:
            while not self._lost and self._clock() - self._confirmed_s > CONFIRMED_FOR_S:
                self.poll()  # again, where it was frozen as it looked
        except (OSError, ValueError) as error:
            return error
        return None
