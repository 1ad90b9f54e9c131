"""How many requests to have in flight at once, learned from how long they take.

What Little's law asks for, rate x time, and half as many again, so that no slow answer leaves
the rate unused. An endpoint that cannot answer at the rate lets requests queue, which takes
longer, which would ask for more: so at most `_QUEUEING` times what the least time seen asks for.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

MIN_LIMIT = 4
MAX_LIMIT = 256
WITHOUT_A_RATE = 64
_FIRST = 16
_SPARE = 1.5
_QUEUEING = 4.0
_MEMORY = 32
"""Requests over which a mean is taken."""


class ConcurrencyLimit:
    """Learns from the threads of a process. `rate_per_s` may be infinite; `backoff_factor` is the part of it in use."""

    def __init__(self, rate_per_s: Callable[[], float], backoff_factor: Callable[[], float]) -> None:
        self._rate_per_s, self._backoff_factor = rate_per_s, backoff_factor
        self._lock = threading.Lock()
        self._mean_s, self._least_s = 0.0, math.inf

    def learn(self, busy_s: float) -> None:
        """A request was in flight for so long, waits for the quota left out."""
        with self._lock:
            self._mean_s += (busy_s - self._mean_s) / _MEMORY if self._mean_s else busy_s
            self._least_s = min(self._least_s, self._mean_s)

    def limit(self) -> int:
        """Requests to have in flight now."""
        rate_per_s = self._rate_per_s()
        if math.isinf(rate_per_s):
            return max(MIN_LIMIT, round(WITHOUT_A_RATE * self._backoff_factor()))
        if not self._mean_s:
            return _FIRST
        return min(MAX_LIMIT, MIN_LIMIT + math.ceil(rate_per_s * min(_SPARE * self._mean_s, _QUEUEING * self._least_s)))
