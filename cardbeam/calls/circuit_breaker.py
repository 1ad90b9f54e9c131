"""Circuit breaker: tells one image's own failure from an endpoint that answers nobody. Pure: no clock, no threads.

Until its first success, and again after `FAILURES_IN_A_ROW` different images failed with no success between, a process
probes: it has one request in flight. A success closes the circuit and resets all counters. `FAILED_PROBES` different
images that fail while it probes trip it, and so do all images there are, if fewer.

What a failure counts for is in its outcome's signal. Some failures say little about others:
- An image that failed in an earlier run in the same way fails by itself: it counts for nothing. Unless nothing was sent
  (unreachable), which is no image's own. An outage fails images that had failed otherwise, so it is still told.
- An image that tripped the circuit of an earlier run counts when no other image comes, or with `FAILURES_IN_A_ROW` of
  its like: so the same few images at the head of a listing do not stop each run.
- A lost connection, and an errorCode outside the contract, count as the image's own until `FAILURES_IN_A_ROW`
  different images met the like.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from schemas.outcomes import Outcome, Signal

FAILURES_IN_A_ROW = 10
FAILED_PROBES = 3

_NO_ANSWER = frozenset({Signal.DOUBTFUL, Signal.UNAVAILABLE, Signal.UNREACHABLE})
_FAILURE_SIGNALS = _NO_ANSWER | {Signal.REFUSED, Signal.BAD_REQUEST}


_CRASHES = frozenset({"http_500", "http_502", "http_504", "timeout", "connection"})
"""What comes of an image that a server breaks at: now one of these, now another."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed call of an image: `failed_before` is the code of its failure in an earlier run, if it had one."""

    image: str
    outcome: Outcome
    failed_before: str = ""
    is_suspect: bool = False
    """Whether it tripped the circuit of an earlier run."""

    @property
    def is_counted(self) -> bool:
        """Whether it may speak against the endpoint, the credentials or the call."""
        return self.outcome.signal in _FAILURE_SIGNALS and not self._is_known

    @property
    def _is_known(self) -> bool:
        code, before = self.outcome.code, self.failed_before
        is_the_same = code == before or {code, before} <= _CRASHES
        return is_the_same and self.outcome.signal is not Signal.UNREACHABLE


class CircuitBreaker:
    """The circuit of one process; its caller serialises the calls. With `pauses` an outage opens it for a while."""

    def __init__(self, *, pauses: bool = False) -> None:
        self._pauses = pauses
        self._in_a_row: dict[str, Outcome] = {}
        self._probes: dict[str, Outcome] = {}
        self._suspects: dict[str, Outcome] = {}
        self._last_in_a_row: str | None = None
        """The image that made the row full: its other attempts are no probes."""
        self.is_probing = True
        """Whether one request may be in flight, not more."""
        self.is_open = False
        """Whether it tripped on an outage and pauses: nothing but a probe now and then may be sent."""

    @property
    def has_failures(self) -> bool:
        """Whether a success would change anything."""
        return self.is_probing or bool(self._in_a_row)

    @property
    def is_in_a_row(self) -> bool:
        """Whether it probes because many images failed in a row, not because nothing was sent yet."""
        return len(self._in_a_row) >= FAILURES_IN_A_ROW

    @property
    def blamed(self) -> tuple[str, ...]:
        """The images that it trips on, a few."""
        return tuple({**self._suspects, **self._probes})

    def succeeded(self) -> None:
        """The endpoint answered."""
        self._in_a_row.clear()
        self._probes.clear()
        self._suspects.clear()
        self._last_in_a_row = None
        self.is_probing = self.is_open = False

    def attempt_failed(self, failure: Failure) -> None:
        """One attempt failed, whether or not another follows."""
        if failure.is_counted and not failure.is_suspect and not self.is_in_a_row:
            self._in_a_row[failure.image] = failure.outcome
            if self.is_in_a_row:
                self.is_probing, self._last_in_a_row = True, failure.image

    def failed(self, failure: Failure, *, was_probe: bool) -> Outcome | None:
        """The last attempt of an image failed. The outcome that it trips on; None as long as that is open."""
        is_probe = was_probe and self.is_probing and failure.image != self._last_in_a_row
        if is_probe and failure.is_counted and not self._is_own(failure):
            failures = self._suspects if failure.is_suspect else self._probes
            failures.pop(failure.image, None)
            failures[failure.image] = failure.outcome
        if len(self._probes) >= FAILED_PROBES or len(self._suspects) >= FAILURES_IN_A_ROW:
            return self._trip({**self._suspects, **self._probes})
        return None

    def nothing_more(self) -> Outcome | None:
        """No other image will come: the outcome that it trips on; None where the failures are the images' own."""
        if self._pauses or not self.is_probing:
            return None
        failures = {**self._suspects, **self._probes} or (self._in_a_row if self.is_in_a_row else {})
        return self._trip(failures) if failures else None

    def _is_own(self, failure: Failure) -> bool:
        """Whether a doubtful failure is the image's own: it is until many met the like, and for these many."""
        is_one_of_few = not self.is_in_a_row or failure.image in self._in_a_row
        return failure.outcome.signal is Signal.DOUBTFUL and is_one_of_few

    def _trip(self, failures: dict[str, Outcome]) -> Outcome:
        """The last outcome of the kind that most of the failures are of."""
        kinds = Counter(_kind(outcome) for outcome in failures.values())
        most = max(kinds.values())
        outcome = next(one for one in reversed(failures.values()) if kinds[_kind(one)] == most)
        self.is_open = self._pauses and _kind(outcome) is Signal.UNAVAILABLE
        if self.is_open:
            self._probes.clear()
            self._suspects.clear()
        return outcome


def _kind(outcome: Outcome) -> Signal:
    return Signal.UNAVAILABLE if outcome.signal in _NO_ANSWER else outcome.signal
