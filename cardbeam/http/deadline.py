"""A point in time by which something must have ended, however many waits it takes until then."""

from __future__ import annotations

import time
from collections.abc import Callable


class Deadline:
    """Ends `timeout_s` after it was made. A timeout of each wait would begin again with every byte that comes."""

    __slots__ = ("_clock", "_ends_at_s")

    def __init__(self, timeout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._ends_at_s = clock, clock() + timeout_s

    def left_s(self) -> float:
        """Seconds left, more than none.

        Raises:
            TimeoutError: it has passed.
        """
        left_s = self._ends_at_s - self._clock()
        if left_s <= 0:
            raise TimeoutError("no complete response before the deadline")
        return left_s
