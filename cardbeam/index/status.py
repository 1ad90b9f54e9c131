"""What is known of a request: the status that earlier records give it."""

from __future__ import annotations

from enum import IntEnum


class Standing(IntEnum):
    """What is known of a request. Where records differ, the lowest holds."""

    ANSWERED_HERE = 0
    ANSWERED_BEFORE = 1
    DEAD_HERE = 2
    DEAD_BEFORE = 3
    NEW = 9

    @property
    def is_before(self) -> bool:
        """Whether an earlier run settled it."""
        return self in (Standing.ANSWERED_BEFORE, Standing.DEAD_BEFORE)
