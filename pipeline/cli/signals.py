"""SIGINT, SIGTERM and SIGHUP: the first ends a command in order, a second ends it at once.

The signals are blocked in all threads, and one thread waits for them: it does whatever the others are busy with, and
may take locks and write files, as a handler may not. Processes that are started inherit the block. So a signal to the
whole group, which a terminal and `timeout` send, reaches this process alone, and it is this process that ends them.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_EXIT_INTERRUPTED, _EXIT_TERMINATED = 130, 143
_SAME_S = 1.0
"""What comes so soon after the first is the same: `timeout` signals its process, then the group that it is in."""


def exit_status_of_signal(number: int) -> int:
    """How a command that a signal ended says so to a shell; a closed terminal is as good as SIGTERM."""
    return _EXIT_INTERRUPTED if number == signal.SIGINT else _EXIT_TERMINATED


@dataclass(frozen=True, slots=True)
class _Step:
    """What a signal does to the work in progress, and how long that may then take; 0 leaves this to an outer step."""

    act: Callable[[int], None]
    within_s: float


@dataclass(slots=True)
class Shutdown:
    """Whether a signal came, and which."""

    number: int | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the command is told to end."""
        return self.number is not None


@dataclass(slots=True)
class _State:
    """What the thread that waits for signals and the work of the command share."""

    status: int | None = None
    """The exit status of a command that ends in order, where it is not the signal's."""
    ending: Shutdown = field(default_factory=Shutdown)
    steps: list[_Step] = field(default_factory=list)
    cleanups: list[Callable[[], None]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)


_state = _State()


def block_signals(numbers: tuple[signal.Signals, ...] = SIGNALS) -> frozenset[signal.Signals]:
    """Block them in this thread and in those that it starts; which are blocked. One that is ignored, as `nohup` has it,
    stays ignored."""
    blocked = frozenset(number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    return blocked


@contextmanager
def handled_signals(blocked: frozenset[signal.Signals], status: int | None = None) -> Iterator[None]:
    """Act on blocked signals until the block ends, then unblock them.

    Where no step is open, the process ends with `status`, or with that of the signal.
    """
    global _state  # noqa: PLW0603  # signals are the process's, as is what they do
    before, _state = _state, _State(status)
    over = threading.Event()
    thread = threading.Thread(target=_wait_for_signals, args=(_state, blocked, over), name="signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        if blocked and thread.ident is not None:
            signal.pthread_kill(thread.ident, next(iter(blocked)))
        thread.join()
        _state = before
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)


@contextmanager
def ending_in_order(act: Callable[[int], None], within_s: float = 0.0) -> Iterator[Shutdown]:
    """Have the first signal call `act` with its number, in a thread of its own, instead of ending the process.

    The process ends `within_s` after the signal at the latest. Of nested blocks, the inner one acts first.
    """
    state = _state
    step = _Step(act, within_s)
    with state.lock:
        state.steps.append(step)
        number = state.ending.number
    if number is not None:
        act(number)
    try:
        yield state.ending
    finally:
        with state.lock:
            state.steps.remove(step)


@contextmanager
def cleaned_up(clean_up: Callable[[], None]) -> Iterator[None]:
    """Call `clean_up` when the block ends, and also where a signal ends the process in the middle of it."""
    state = _state
    with state.lock:
        state.cleanups.append(clean_up)
    try:
        yield
    finally:
        with state.lock:
            state.cleanups.remove(clean_up)
        clean_up()


def _wait_for_signals(state: _State, numbers: frozenset[signal.Signals], over: threading.Event) -> None:
    began_s = 0.0
    while numbers:
        number = signal.Signals(signal.sigwait(numbers))
        if over.is_set():
            return
        if not state.ending.has_begun:
            began_s = time.monotonic()
            _begin(state, number)
        elif time.monotonic() - began_s > _SAME_S:
            _end(state, f"Received {number.name} again: ending at once", exit_status_of_signal(number))


def _begin(state: _State, number: signal.Signals) -> None:
    with state.lock:
        state.ending.number = number
        steps = list(reversed(state.steps))
    within_s = max((step.within_s for step in steps), default=0.0)
    status = exit_status_of_signal(number)
    if not steps:
        _end(state, f"Received {number.name}: stopping", status if state.status is None else state.status)
    _tell(f"Received {number.name}: finishing calls in flight, then stopping, within {within_s:.0f} s")
    timer = threading.Timer(within_s, _end, (state, f"not done within {within_s:.0f} s: ending at once", status))
    timer.daemon = True
    timer.start()
    for step in steps:
        step.act(number)


def end_at_once(message: str, status: int) -> None:
    """End on the spot, and leave no temporary file and no child: whatever was paid for is on disk by design."""
    _end(_state, message, status)


def _end(state: _State, message: str, status: int) -> None:
    _tell(message)
    with state.lock:
        cleanups = list(reversed(state.cleanups))
    for clean_up in cleanups:
        with suppress(Exception):  # the others have their turn
            clean_up()
    os._exit(status)


def _tell(message: str) -> None:
    with suppress(OSError, ValueError):  # nobody reads it: the terminal is gone
        print(message, file=sys.stderr, flush=True)
