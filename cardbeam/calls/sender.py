"""Images -> Delivery: one request with its retries, each attempt behind the throttle.

Here stands what may end the sending of a whole run: the budget is counted, and the circuit breaker tells an image's own
failure from an endpoint that answers nobody. As long as that is open, a failed request is held: its verdict comes with
the next success, with the end of the run's sending, or when no other image comes.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from functools import partial

from cardbeam import telemetry
from cardbeam.calls.bounded_executor import InFlightLimit
from cardbeam.calls.circuit_breaker import CircuitBreaker, Failure
from cardbeam.errors import CardbeamError
from cardbeam.http.body import ImagePayload
from cardbeam.http.card_client import CardClient
from cardbeam.http.response import CallResult
from cardbeam.http.retry import LONGEST_WAIT_S, RetryPolicy, send_with_retries
from cardbeam.ratelimit.budgets.allowance import Allowance
from cardbeam.ratelimit.shared_hold import SharedHold
from cardbeam.ratelimit.throttle import Throttle, Wait
from cardbeam.run_state.stop_signal import TIME_WINDOW, StopReason, StopSignal, reason_of
from schemas.outcomes import OUTCOMES, Action, Outcome, Signal

_LOG = logging.getLogger("cardbeam")
_SLOW_DOWN_S = 0.5
_BETWEEN_PROBES_S = 1.0
"""At least so long after a failed probe of an outage the next one is sent. Whoever dispatches requests waits longer."""


class Verdict(Enum):
    """Whose failure it is."""

    OWN = "own"
    """The image's."""
    DEFERRED = "deferred"
    """Not the image's: it is sent again when the cause has passed."""
    UNKNOWN = "unknown"
    """No other image came that would tell."""


@dataclass(frozen=True, slots=True)
class SendResult:
    """The last attempt, how many were sent, and what they waited for the throttle."""

    result: CallResult | None
    attempts: int
    waits: Sequence[Wait] = field(default=())
    queued_s: float = 0.0
    """What it waited for a connection to be free."""
    verdict: Verdict | Future[Verdict] = Verdict.OWN
    """A future, where other requests decide it."""

    @property
    def waited_s(self) -> float:
        """Seconds that this request waited for the quota."""
        return sum(wait.total_s for wait in self.waits)

    @property
    def throttled_s(self) -> float:
        """Seconds in which the quota held the whole process back, with this request at the head."""
        return sum(wait.at_head_s for wait in self.waits)


class _NotSent(CardbeamError):
    """The run stops, or an outage has the calls pause: nothing more of this request is sent."""


@dataclass(slots=True)
class _Sending:
    """One request on its way."""

    image: str
    failed_before: Callable[[], str]
    is_suspect: bool
    is_superseded: Callable[[], bool]
    """Whether another bundle sends it now."""
    waits: list[Wait] = field(default_factory=list)
    queued_s: float = 0.0
    last: CallResult | None = None
    attempts: int = 0
    has_line: bool = False
    is_admitted: bool = False
    """Whether its call counts, and has not ended."""
    is_probe: bool = False
    """Whether its last attempt was made while the process probes."""

    def failure(self, outcome: Outcome) -> Failure:
        """What the circuit breaker takes."""
        return Failure(self.image, outcome, self.failed_before(), self.is_suspect)

    def delivery(self, verdict: Verdict | Future[Verdict]) -> SendResult:
        """What came of it."""
        return SendResult(self.last, self.attempts, self.waits, self.queued_s, verdict)


class _CallPermit:
    """The permission of an attempt; one more where a connection is lost before a byte is sent."""

    def __init__(self, sending: _Sending, acquire: Callable[[_Sending], Wait]) -> None:
        self._sending, self._acquire = sending, acquire

    def acquire(self) -> None:
        """Take one call of what is allowed, and wait for the quota."""
        self._sending.waits.append(self._acquire(self._sending))

    def mark_sent(self) -> None:
        """The quota counts it from now on."""
        self._sending.waits[-1].release()

    def release(self) -> None:
        """Give it back, whether it was used or not."""
        for wait in self._sending.waits:
            wait.release()


def _slow_down(throttle: Throttle, seconds: float, *, is_overload: bool) -> None:
    """Slow down this process alone."""
    if is_overload:
        throttle.slow_down(seconds)
    else:
        throttle.hold(seconds)


class Sender:
    """Sends requests; shared by the threads of a process.

    `calls` bounds how many are in flight at once. With `pauses` an outage pauses the calls instead of stopping the run.
    `others_answered` says whether another process of the run had an answer, `first_answered` is told of ours.
    `suspects` are the images that stopped earlier runs.
    """

    def __init__(
        self,
        client: CardClient,
        throttle: Throttle,
        stop: StopSignal,
        policy: RetryPolicy,
        *,
        jitter: Callable[[], float],
        sleep: Callable[[float], object],
        allowance: Allowance | None = None,
        calls: Callable[[], int] = lambda: sys.maxsize,
        clock: Callable[[], float] = time.monotonic,
        check: Callable[[], None] = lambda: None,
        pauses: bool = False,
        others_answered: Callable[[], bool] = lambda: False,
        first_answered: Callable[[], None] = lambda: None,
        suspects: frozenset[str] = frozenset(),
        hold: SharedHold | None = None,
    ) -> None:
        """`check` raises where an answer could not be kept."""
        self._client, self._throttle, self._stop, self._policy = client, throttle, stop, policy
        self._jitter, self._sleep, self._clock = jitter, sleep, clock
        self._allowance = allowance or Allowance()
        self._others_answered, self._first_answered = others_answered, first_answered
        self._suspects = suspects
        self._slow_down = hold.tell if hold else partial(_slow_down, throttle)
        self._pauses, self._check_journal = pauses, check
        self._breaker = CircuitBreaker(pauses=pauses)
        self._in_flight = InFlightLimit(lambda: 1 if self._breaker.is_probing else calls())
        self._lock = threading.Lock()
        self._held: list[Future[Verdict]] = []
        self._has_answered = False
        self._out_since_s: float | None = None
        self._next_probe_s = 0.0

    @property
    def is_stopped(self) -> bool:
        """Whether nothing more may be sent."""
        return self._stop.is_set

    def stop(self, reason: StopReason) -> None:
        """Send nothing more. What is held is deferred."""
        self._stop.set(reason)
        self._decide(Verdict.DEFERRED)

    def send(
        self,
        operation: str,
        images: Sequence[ImagePayload],
        image: str,
        failed_before: Callable[[], str] = lambda: "",
        *,
        is_superseded: Callable[[], bool] = lambda: False,
    ) -> SendResult:
        """Send until it is processed, or another bundle has taken it over (`is_superseded`).

        `image` tells images apart, `failed_before` its code in an earlier run.
        """
        sending = _Sending(image, failed_before, image in self._suspects, is_superseded)

        def call_once() -> CallResult:
            return self._attempt(sending, operation, images)

        try:
            result = send_with_retries(
                call_once,
                self._policy,
                jitter=self._jitter,
                sleep=self._sleep,
                may_retry=lambda: not (self._pauses and sending.is_probe),
            )
            sending.last = result
            return sending.delivery(self._verdict(sending, result.outcome))
        except _NotSent:
            return sending.delivery(Verdict.DEFERRED)
        finally:
            self._give_line_back(sending)

    def nothing_more(self) -> None:
        """No other image will come for now: decide what is held."""
        with self._lock:
            tripped = self._breaker.nothing_more() if self._held else None
            blamed = self._breaker.blamed
        if self.is_stopped:
            self._decide(Verdict.DEFERRED)
        elif tripped is not None and not self._others_answered():
            self.stop(reason_of(tripped, blamed))
        else:
            self._decide(Verdict.UNKNOWN)

    def _attempt(self, sending: _Sending, operation: str, images: Sequence[ImagePayload]) -> CallResult:
        self._take_line(sending)
        permit = _CallPermit(sending, self._acquire)
        ended = OUTCOMES["connection"]  # if the call itself fails, it may have been sent
        latency_s = None
        telemetry.call_begins()
        try:
            sending.last = self._client.call(operation, images, permit)
            sending.attempts += 1
            ended, latency_s = sending.last.outcome, sending.last.latency_s
        finally:
            telemetry.call_ended(ended.code, latency_s, is_retry=sending.attempts > 1)
            if sending.is_admitted:
                sending.is_admitted = False
                self._allowance.end(ended)
            permit.release()  # also where it was not sent
            if not (sending.is_probe and self._breaker.is_probing):  # a probe keeps it until its last attempt
                self._give_line_back(sending)
        outcome = sending.last.outcome
        self._obey(sending.last)
        self._learn(sending, outcome)
        return sending.last

    def _obey(self, result: CallResult) -> None:
        """Slow the run down where the endpoint says so."""
        if result.outcome.slows_down:
            seconds = max(result.hold_s or 0.0, result.retry_after_s or _SLOW_DOWN_S)
            self._slow_down(min(seconds, LONGEST_WAIT_S), is_overload=True)
        elif result.hold_s is not None:
            self._slow_down(result.hold_s, is_overload=False)

    def _take_line(self, sending: _Sending) -> None:
        self._check(sending)
        if not sending.has_line:
            came_s = self._clock()
            if not self._in_flight.acquire(0, waits=not self._breaker.is_open):
                raise _NotSent
            sending.queued_s += self._clock() - came_s
            sending.has_line = True
            self._check(sending)
        sending.is_probe = self._breaker.is_probing

    def _check(self, sending: _Sending) -> None:
        is_paused = self._breaker.is_open and self._clock() < self._next_probe_s
        if is_paused or self._should_stop(sending):
            raise _NotSent

    def _should_stop(self, sending: _Sending) -> bool:
        return self.is_stopped or sending.is_superseded()

    def _give_line_back(self, sending: _Sending) -> None:
        if sending.has_line:
            sending.has_line = False
            self._in_flight.release(0)

    def _acquire(self, sending: _Sending) -> Wait:
        """Take one call of what is allowed, and wait for the quota; how long that was."""
        if self._should_stop(sending):
            raise _NotSent
        if (reason := self._allowance.acquire(lambda: self._should_stop(sending))) is not None:
            self.stop(reason)
            raise _NotSent
        try:
            wait = self._wait(sending)
        except BaseException:  # a rate service that cannot be asked raises what it likes
            self._allowance.release()
            raise
        sending.is_admitted = True
        return wait

    def _wait(self, sending: _Sending) -> Wait:
        wait = self._throttle.wait(lambda: self._should_stop(sending) or self._allowance.is_closed())
        try:
            self._check_journal()
            if self._allowance.is_closed():
                self.stop(TIME_WINDOW)
            if self._should_stop(sending):
                raise _NotSent
        except BaseException:
            wait.release()
            raise
        return wait

    def _learn(self, sending: _Sending, outcome: Outcome) -> None:
        """What one attempt tells about the endpoint."""
        if outcome.signal is Signal.SUCCESS:
            if self._breaker.has_failures or self._held:
                self._succeed()
            return
        with self._lock:
            self._breaker.attempt_failed(sending.failure(outcome))
            is_out = sending.is_probe and self._breaker.is_in_a_row
        if is_out:
            self._note_outage(outcome)

    def _note_outage(self, outcome: Outcome) -> None:
        """Log that an outage begins, once."""
        with self._lock:
            begins = self._out_since_s is None and not self._pauses  # a watch tells it itself
            if begins:
                self._out_since_s = self._clock()
        if begins:
            _LOG.warning("the endpoint does not answer (%s): one request at a time until it does", outcome.code)

    def _succeed(self) -> None:
        with self._lock:
            self._breaker.succeeded()
            out_since_s, self._out_since_s = self._out_since_s, None
            is_first, self._has_answered = not self._has_answered, True
        self._in_flight.wake()
        if out_since_s is not None:
            _LOG.warning("the endpoint answers again, after %.0f s", self._clock() - out_since_s)
        self._decide(Verdict.OWN)
        if is_first:
            self._first_answered()

    def _verdict(self, sending: _Sending, outcome: Outcome) -> Verdict | Future[Verdict]:
        """Whose failure the last attempt was; a future, where that is not decided yet."""
        if outcome.action is Action.STOP:
            self.stop(reason_of(outcome))
            return Verdict.DEFERRED
        if outcome.signal in (Signal.SUCCESS, Signal.OWN):
            return Verdict.OWN
        with self._lock:
            was_open, blamed = self._breaker.is_open, (*self._breaker.blamed, sending.image)
            tripped = self._breaker.failed(sending.failure(outcome), was_probe=sending.is_probe)
            if self._breaker.is_open:
                self._next_probe_s = self._clock() + _BETWEEN_PROBES_S
            if tripped is None and not was_open and not self.is_stopped:
                held: Future[Verdict] = Future()
                self._held.append(held)
                return held
        if self._breaker.is_open:
            self._decide(Verdict.DEFERRED)
        elif tripped is not None:
            self.stop(reason_of(tripped, blamed))
        return Verdict.DEFERRED

    def _decide(self, verdict: Verdict) -> None:
        """Tell all that are held."""
        with self._lock:
            held, self._held = self._held, []
        for one in held:
            one.set_result(verdict)
