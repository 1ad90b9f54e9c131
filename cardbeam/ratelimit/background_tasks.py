"""What a worker does beside its calls while it has some: renew its lease, look at the stop switch.

One thread for each process, which lives from the first request until none was under way for a
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
LINGER_S = 1.0
"""A gap between two bundles is shorter; and a worker that is done keeps a part of the quota idle for so long."""


class Presence:
    """Runs `beats` every `every_s` seconds while anything is done within it, and `leave` after `linger_s()` without."""

    def __init__(
        self,
        beats: Sequence[Callable[[], None]],
        leave: Callable[[], None],
        every_s: float,
        linger_s: Callable[[], float] = lambda: LINGER_S,
    ) -> None:
        self._beats, self._leave, self._every_s, self._linger_s = beats, leave, every_s, linger_s
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
            for beat in self._beats:
                _tried(beat, None)
            time.sleep(min(self._every_s, wait_s))

    def _until_over_s(self) -> float:
        """How long it is until nothing came for a while; 0 where the share was given back for that."""
        linger_s = _tried(self._linger_s, LINGER_S)
        with self._lock:
            wait_s = math.inf if self._under_way else self._left_s + linger_s - time.monotonic()
            if wait_s <= 0:
                _tried(self._leave, None)
                self._is_running = False
            return wait_s


def _tried(step: Callable[[], _Got], otherwise: _Got) -> _Got:
    try:
        return step()
    except Exception as error:  # a store's client may raise anything, and the next time may be better: a thread that
        # ended would end the sending without a word
        _LOG.warning("the run's folder could not be used: %s", type(error).__name__)
        return otherwise
