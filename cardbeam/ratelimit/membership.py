"""Which workers of a run are alive, by their lease files and one's own clock."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cardbeam.ratelimit.throttle import Quota

FRESH_S = 4.0
SHOWS_WITHIN_S = 0.5
DEAD_AFTER_S = 5.0
CLEARED_AFTER_S = 60.0
"""Where no end of a run removes leases of lost workers, they go when they have not changed for so long."""

HELD_UP_S = 0.5
"""How long a request may be held up between its permission and its socket when shares change."""


def window_s(quota: Quota) -> float:
    """What must pass so that no window holds what was given before and what is given after."""
    return quota.guarded_s + HELD_UP_S


@dataclass(slots=True)
class _Other:
    """What is known of another worker's lease, on the own clock."""

    count: int
    changed_s: float
    counts_from_s: float
    is_alive: bool = True
    counts_until_s: float = math.inf


class View:
    """Listings -> how many slots are safe: the others as they were seen, and what may be concluded."""

    def __init__(self, worker: str, quota: Quota) -> None:
        self._worker, self._quota = worker, quota
        self._others: dict[str, _Other] = {}
        self._listed_s = self._safe_from_s = -math.inf

    def take(self, counts: dict[str, int], started_s: float, ended_s: float) -> None:
        """A listing, as the count of each lease, and when it started and ended."""
        last_s, self._listed_s = self._listed_s, started_s
        if ended_s > last_s + FRESH_S:
            self._safe_from_s = ended_s + window_s(self._quota)
        for worker, count in counts.items():
            if worker != self._worker:
                self._see(worker, count, started_s, last_s)
        for worker, other in self._others.items():
            is_dead = started_s - other.changed_s > DEAD_AFTER_S
            if other.is_alive and (is_dead or worker not in counts):
                other.is_alive = False
                other.counts_until_s = ended_s + (window_s(self._quota) if is_dead else 0.0)
        self._forget(ended_s, counts)

    def lost(self) -> set[str]:
        """The workers whose leases can go: they gave up what they had long ago."""
        until_s = self._listed_s - CLEARED_AFTER_S
        return {w for w, other in self._others.items() if not other.is_alive and other.changed_s < until_s}

    def slots(self, now_s: float) -> int:
        """Slots of this worker by all that was seen in the last window; 0 where that is too little."""
        if now_s > self._listed_s + FRESH_S or now_s < self._safe_from_s:
            return 0
        known = [worker for worker, other in self._others.items() if self._counts(other, now_s)]
        rank = sum(worker < self._worker for worker in known)
        return (self._quota.slots - 1 - rank) // (len(known) + 1) + 1

    @staticmethod
    def _counts(other: _Other, now_s: float) -> bool:
        is_in = other.is_alive and now_s >= other.counts_from_s
        return is_in or now_s < other.counts_until_s < math.inf

    def _see(self, worker: str, count: int, started_s: float, last_s: float) -> None:
        other = self._others.get(worker)
        if other is None:
            self._others[worker] = _Other(count, started_s, last_s + FRESH_S)
        elif count != other.count:
            other.count, other.changed_s = count, started_s
            if not other.is_alive:
                other.is_alive, other.counts_from_s = True, last_s + FRESH_S

    def _forget(self, now_s: float, counts: dict[str, int]) -> None:
        past = [w for w, other in self._others.items() if w not in counts and now_s >= other.counts_until_s]
        for worker in past:
            del self._others[worker]
