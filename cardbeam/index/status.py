"""What is known of a request: the status that earlier records give it."""

from __future__ import annotations

from enum import IntEnum


class PriorStatus(IntEnum):
    """What is known of a request. Where records differ, the lowest holds."""

    SUCCEEDED_THIS_RUN = 0
    SUCCEEDED_EARLIER_RUN = 1
    FAILED_THIS_RUN = 2
    FAILED_EARLIER_RUN = 3
    UNKNOWN = 9

    @property
    def is_earlier_run(self) -> bool:
        """Whether an earlier run processed it."""
        return self in (PriorStatus.SUCCEEDED_EARLIER_RUN, PriorStatus.FAILED_EARLIER_RUN)
