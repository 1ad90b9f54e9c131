"""What a worker does beside its calls while it has some: renew its lease, poll the stop signal.

One thread for each process, which lives from the first request until none was in flight for a
while. Between two bundles the share stays, so that no bundle waits for it again.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

_LOG = logging.getLogger("cardbeam")
_Got = TypeVar("_Got")
IDLE_TIMEOUT_S = 1.0
"""A gap between two bundles is shorter; and a worker that is done keeps a part of the quota idle for so long."""


class BackgroundTasks:
    """Runs `tasks` every `every_s` seconds while anything is done within it, and `release` after `idle_timeout_s()`
    without."""

    def __init__(
        self,
        tasks: Sequence[Callable[[], None]],
        release: Callable[[], None],
        every_s: float,
        idle_timeout_s: Callable[[], float] = lambda: IDLE_TIMEOUT_S,
    ) -> None:
        self._tasks, self._release, self._every_s, self._idle_timeout_s = tasks, release, every_s, idle_timeout_s
        self._lock = threading.Lock()
        self._under_way = 0
        self._left_s = 0.0
        self._is_running = False

    def __enter__(self) -> None:
        with self._lock:
            self._under_way += 1
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="presence", daemon=True).start()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._under_way -= 1
            self._left_s = time.monotonic()

    def _run(self) -> None:
        while (wait_s := self._until_over_s()) > 0:
            for task in self._tasks:
                _tried(task, None)
            time.sleep(min(self._every_s, wait_s))

    def _until_over_s(self) -> float:
        """How long it is until nothing came for a while; 0 where the share was given back for that."""
        idle_timeout_s = _tried(self._idle_timeout_s, IDLE_TIMEOUT_S)
        with self._lock:
            wait_s = math.inf if self._under_way else self._left_s + idle_timeout_s - time.monotonic()
            if wait_s <= 0:
                _tried(self._release, None)
                self._is_running = False
            return wait_s


def _tried(step: Callable[[], _Got], otherwise: _Got) -> _Got:
    try:
        return step()
    except Exception as error:  # a store's client may raise anything, and the next time may be better: a thread that
        # ended would end the sending without a word
        _LOG.warning("background task failed (%s); will retry", type(error).__name__)
        return otherwise
