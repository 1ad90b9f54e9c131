"""The pause of a watch in an outage: one image at a time is sent, with growing distance, until one is answered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from cardbeam.journal.follower import RecordKey
from cardbeam.model.record import RecordStatus
from schemas.outcomes import OUTCOMES, Signal

FIRST_S, LONGEST_S = 1.0, 60.0
"""From one failed probe to the next."""
_RECENT_US = 3_000_000
_LOG = logging.getLogger("cardbeam")


class OutagePause:
    """Whether the endpoint answers nobody, as the records tell; for one thread. It begins and ends with a line each.

    A worker alone that finds nobody does not pause the others: there is no outage where one was just answered.
    """

    def __init__(self, clock: Callable[[], float], now_s: Callable[[], float]) -> None:
        self._clock, self._now_s = clock, now_s
        self._answered_at = self._deferred_at = 0
        """By the records, in µs since 1970."""
        self._since_s = self._probe_s = self._wait_s = 0.0
        self.since_at_s: float | None = None
        """Since when, by the wall clock; None where there is none."""

    @property
    def is_on(self) -> bool:
        """Whether calls are paused."""
        return self.since_at_s is not None

    @property
    def may_probe(self) -> bool:
        """Whether an image may be sent, to see whether it is answered."""
        return self._clock() >= self._probe_s

    def record(self, known: RecordKey) -> None:
        """Take up a record of the run."""
        if _is_answer(known):
            self._answered_at = max(self._answered_at, known.completed_at)
            if self.is_on and known.completed_at > self._deferred_at:
                self._end()
        elif known.outcome == RecordStatus.DEFERRED.value and known.code is not None and not known.may_be_old:
            self._defer(known)  # one without a code was not sent

    def probed(self) -> None:
        """The image that was sent to see is not answered: the next is sent after a longer while."""
        self._wait_s = min(2 * self._wait_s, LONGEST_S)
        self._probe_s = self._clock() + self._wait_s

    def _defer(self, known: RecordKey) -> None:
        if self.is_on or known.completed_at - self._answered_at < _RECENT_US:
            return
        self._deferred_at, self.since_at_s = known.completed_at, self._now_s()
        self._since_s, self._wait_s = self._clock(), FIRST_S
        self._probe_s = self._since_s + FIRST_S
        _LOG.warning("the endpoint does not answer (%s): calls are paused, and images wait", known.code)

    def _end(self) -> None:
        self.since_at_s = None
        after = timedelta(seconds=round(self._clock() - self._since_s))
        _LOG.warning("the endpoint answers again, after %s: calls are made again", after)


def _is_answer(known: RecordKey) -> bool:
    if known.outcome == RecordStatus.SUCCEEDED.value:
        return True
    outcome = OUTCOMES.get(known.code or "")
    return outcome is not None and outcome.signal is Signal.SUCCESS
