"""How many requests to have under way at once, learned from how long they take.

With a rate, what Little's law asks for: rate x time, and half as many again, so that no slow
answer leaves the rate unused. Without one, as many as the endpoint answers without queueing,
found as TCP Vegas does: the least latency tells how many of those under way only wait; more
are sent while few wait, fewer when many do.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

LEAST = 4
MOST = 256
_FIRST = 16.0
_SPARE = 1.5
_MEMORY = 32
"""Requests over which a mean is taken."""
_FEW, _MANY = 0.1, 0.3
"""Parts of those under way that may wait at the endpoint."""


class Limit:
    """Learns from the threads of a process. `rate_per_s` may be infinite; `pace` is the part of it in use."""

    def __init__(self, rate_per_s: Callable[[], float], pace: Callable[[], float]) -> None:
        self._rate_per_s, self._pace = rate_per_s, pace
        self._lock = threading.Lock()
        self._mean_s = self._least_s = 0.0
        self._found = _FIRST

    def learn(self, busy_s: float) -> None:
        """A request was under way for so long, waits for the quota left out."""
        with self._lock:
            is_first = not self._mean_s
            self._mean_s = busy_s if is_first else self._mean_s + (busy_s - self._mean_s) / _MEMORY
            self._least_s = busy_s if is_first else min(busy_s, self._least_s * (1 + 0.1 / _MEMORY))
            waiting = 1 - self._least_s / self._mean_s if self._mean_s else 0.0
            step = 1 / math.sqrt(self._found)
            if waiting < _FEW:
                self._found = min(MOST, self._found + step)
            elif waiting > _MANY:
                self._found = max(LEAST, self._found - step)

    def most(self) -> int:
        """Requests to have under way now."""
        rate_per_s = self._rate_per_s()
        if math.isinf(rate_per_s):
            return max(LEAST, round(self._found * self._pace()))
        needed = rate_per_s * self._mean_s * _SPARE if self._mean_s else _FIRST
        return min(MOST, LEAST + math.ceil(needed))
