"""How a request ended, and the counts of all ends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

FOUND = "found"
StatusCount = tuple[str, int]
"""Requests that were found, or that met a fate, and how many."""


class RequestOutcome(str, Enum):
    """Where a found input ended in this run; the receipt's terms."""

    SKIPPED = "skipped"
    DUPLICATE = "duplicates"
    SUCCEEDED = "succeeded"
    DEAD_LETTERED = "dead_lettered"
    DEFERRED = "deferred"
    ERASED = "erased"
    """It ended in another way, and was erased since."""


@dataclass(frozen=True, slots=True)
class RequestResult:
    """What came of one found input, without anything that was read from it."""

    outcome: RequestOutcome
    item_id: str = ""
    """The key of its request; none of what is deferred before its images are known."""
    code: str = ""
    """Why it failed."""
    attempts: int = 0
    latency_s: float | None = None
    waited_s: float = 0.0
    """What it waited for the quota."""
    throttled_s: float = 0.0
    """Of this, what it waited as the first in its process: over all endings, how long the quota held the process."""
    queued_s: float = 0.0
    """What it waited, ready to be sent, because as many calls as may be were in progress."""
    failed_for_now: bool = False
    """Of what is deferred: whether it failed, and this run tries it again."""


THROTTLED_US = "throttled_us"
"""Microseconds in which the quota held a worker back, over all workers."""

Counts = dict[str, int]
