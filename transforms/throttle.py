"""The quota as a wall: evenly spaced permissions to send.

Permission n is given no earlier than 1/rate after permission n-1, so that no window of
length T ever sees more than rate x T + 1 of them, whatever the number of threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Throttle:
    """Permissions at a rate per second, shared by all threads of a process; 0 is no limit."""

    def __init__(
        self,
        rate_per_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval_s = 1 / rate_per_s if rate_per_s else 0.0
        self._clock, self._sleep = clock, sleep
        self._next_at_s = -float("inf")
        self._lock = threading.Lock()

    def wait(self) -> float:
        """Block until this caller may send; the seconds it waited."""
        with self._lock:
            now_s = self._clock()
            at_s = max(now_s, self._next_at_s)
            self._next_at_s = at_s + self._interval_s
        if at_s > now_s:
            self._sleep(at_s - now_s)
        return at_s - now_s

    def hold(self, seconds: float) -> None:
        """Give no new permission for a while: the endpoint said that it is too fast."""
        with self._lock:
            self._next_at_s = max(self._next_at_s, self._clock() + seconds)
