"""Pictures -> Delivery: one request with its retries, each attempt behind the throttle.

Here stands what may end the sending of a whole run: the first request goes ahead alone to
show that the endpoint is there and takes the credentials, the budget is counted, and an
outcome that concerns every request pulls the stop switch.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from schemas.outcomes import Action, Outcome, Signal
from transforms.budget import Budget, endless
from transforms.card_client import Attempt, CardClient, Sent
from transforms.in_flight import Places
from transforms.retry import LONGEST_WAIT_S, RetryPolicy, send_until_settled
from transforms.stop import BUDGET, UNREACHABLE, StopReason, StopSwitch, reason_of
from transforms.throttle import Throttle, Wait

_FAULTS_IN_A_ROW = 3
_SLOW_DOWN_S = 0.5


@dataclass(frozen=True, slots=True)
class Delivery:
    """The last attempt, how many were sent, and what they waited for the throttle."""

    attempt: Attempt
    attempts: int
    waits: Sequence[Wait] = field(default=())
    queued_s: float = 0.0
    """What it waited for a line to be free."""

    @property
    def waited_s(self) -> float:
        """Seconds that this request waited for the quota."""
        return sum(wait.total_s for wait in self.waits)

    @property
    def throttled_s(self) -> float:
        """Seconds in which the quota held the whole process back, with this request at the head."""
        return sum(wait.at_head_s for wait in self.waits)


class Stopped(Exception):
    """The run stops: this request is deferred."""


class Sender:
    """Sends requests; shared by the threads of a process. `lines` bounds how many calls are under way at once."""

    def __init__(
        self,
        client: CardClient,
        throttle: Throttle,
        stop: StopSwitch,
        policy: RetryPolicy,
        *,
        jitter: Callable[[], float],
        sleep: Callable[[float], None],
        budget: Budget | None = None,
        lines: Places | None = None,
        clock: Callable[[], float] = time.monotonic,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`check` raises where an answer could not be kept."""
        self._client, self._throttle, self._stop, self._policy = client, throttle, stop, policy
        self._jitter, self._sleep = jitter, sleep
        self._budget = budget or endless()
        self._lines, self._clock, self._check = lines or Places(lambda: sys.maxsize), clock, check
        self._first_request = threading.Lock()
        self._is_proven = False
        self._faults_in_a_row = 0

    @property
    def is_stopped(self) -> bool:
        """Whether nothing more may be sent."""
        return self._stop.is_pulled

    def stop(self, reason: StopReason) -> None:
        """Send nothing more."""
        self._stop.pull(reason)

    def send(self, operation: str, pictures: Sequence[Sent]) -> Delivery:
        """Send until settled.

        Raises:
            Stopped: the run stops, before this request or because of it.
        """
        if not self._is_proven:
            with self._first_request:  # the others wait here until the first has shown the way
                if not self._is_proven:
                    return self._send(operation, pictures)
        return self._send(operation, pictures)

    def _send(self, operation: str, pictures: Sequence[Sent]) -> Delivery:
        waits: list[Wait] = []
        queued_s, attempts = 0.0, 0

        def attempt_once() -> Attempt:
            if self.is_stopped:
                raise Stopped
            nonlocal queued_s, attempts
            came_s = self._clock()
            self._lines.take(0, waits=True)
            queued_s += self._clock() - came_s

            def admit() -> Callable[[], None]:
                waits.append(self._admit())
                return waits[-1].leave

            try:
                attempt = self._client.call(operation, pictures, admit)
            finally:
                self._lines.give_back(0)
                for wait in waits:
                    wait.leave()  # also where it could not
            attempts += 1
            if attempt.outcome.slows_down:
                self._throttle.slow_down(min(attempt.retry_after_s or _SLOW_DOWN_S, LONGEST_WAIT_S))
            return attempt

        attempt = send_until_settled(attempt_once, self._policy, jitter=self._jitter, sleep=self._sleep)
        if (reason := self._reason_to_stop(attempt.outcome)) is not None:
            self._stop.pull(reason)
            raise Stopped
        self._is_proven = True
        return Delivery(attempt, attempts, waits, queued_s)

    def _admit(self) -> Wait:
        """Wait for the quota; how long that was."""
        if not self.is_stopped and not self._budget.take():
            self._stop.pull(BUDGET)
        if self.is_stopped:
            raise Stopped
        try:
            wait = self._throttle.wait(lambda: self.is_stopped)
        except BaseException:  # a rate service that cannot be asked raises what it likes
            self._budget.give_back()
            raise
        try:
            self._check()
            if self.is_stopped:
                raise Stopped
        except BaseException:
            wait.leave()
            self._budget.give_back()
            raise
        return wait

    def _reason_to_stop(self, outcome: Outcome) -> StopReason | None:
        """Why this outcome ends the run; None where it is this request's own matter.

        What blames the caller ends the run at once while nothing was settled yet, later only when
        it comes several times in a row: one bad picture cannot cause it.
        """
        if outcome.signal is Signal.UNREACHABLE and not self._is_proven:
            return UNREACHABLE
        if outcome.signal is not Signal.BAD_REQUEST:
            self._faults_in_a_row = 0
            stops = outcome.action is Action.STOP or outcome.signal is Signal.REFUSED
            return reason_of(outcome) if stops else None
        self._faults_in_a_row += 1
        is_everyones = not self._is_proven or self._faults_in_a_row >= _FAULTS_IN_A_ROW
        return reason_of(outcome) if is_everyones else None
