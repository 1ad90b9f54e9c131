"""Retries: bounded in attempts and in time, with a floor and a ceiling under every wait."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.http.response import CallResult
from cardbeam.http.retry import LONGEST_WAIT_S, RetryPolicy, next_wait_s, send_with_retries
from schemas.outcomes import OUTCOMES, Action, Outcome, outcome_of_status

SHORTEST_WAIT_S = 0.25
AGAIN = CallResult(outcome_of_status(503), 503)
ANSWERED = CallResult(OUTCOMES["succeeded"], 200, b"{}")
JITTERS = st.floats(0, 1)
RETRY_AFTERS_S = st.none() | st.floats(0, 1e6) | st.just(math.inf)


@dataclass
class Endpoint:
    """Answers from a list, each after its time, on a clock of its own; the last answer stays."""

    attempts: list[tuple[CallResult, float]]
    now_s: float = 0.0
    sent_at_s: list[float] = field(default_factory=list)
    came_at_s: list[float] = field(default_factory=list)
    slept_s: list[float] = field(default_factory=list)

    def send(self) -> CallResult:
        self.sent_at_s.append(self.now_s)
        result, takes_s = self.attempts[min(len(self.sent_at_s), len(self.attempts)) - 1]
        self.now_s += takes_s
        self.came_at_s.append(self.now_s)
        return result

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds

    def complete(self, policy: RetryPolicy, jitter: float = 1.0) -> tuple[CallResult, int]:
        result = send_with_retries(self.send, policy, jitter=lambda: jitter, sleep=self.sleep, clock=lambda: self.now_s)
        return result, len(self.sent_at_s)


@given(st.integers(1, 500), RETRY_AFTERS_S, JITTERS)
def test_a_wait_has_a_floor_and_a_ceiling(number: int, retry_after_s: float | None, jitter: float) -> None:
    """No wait is shorter than a quarter of a second or longer than a minute, whatever the endpoint asks for."""
    wait_s = next_wait_s(number, retry_after_s, jitter)
    assert SHORTEST_WAIT_S <= wait_s <= LONGEST_WAIT_S
    assert wait_s >= min(retry_after_s or 0.0, LONGEST_WAIT_S)


def test_waits_double() -> None:
    """At full jitter the waits double from half a second up to the ceiling, at none they are the floor."""
    assert [next_wait_s(number, None, 1.0) for number in range(1, 10)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert {next_wait_s(number, None, 0.0) for number in range(1, 10)} == {SHORTEST_WAIT_S}


@given(
    st.lists(
        st.tuples(st.sampled_from([AGAIN, CallResult(OUTCOMES["timeout"]), ANSWERED]), st.floats(0, 40)), min_size=1
    ),
    st.builds(RetryPolicy, st.integers(1, 12), st.floats(0, 600)),
    JITTERS,
    RETRY_AFTERS_S,
)
def test_retries_are_bounded(
    planned: list[tuple[CallResult, float]], policy: RetryPolicy, jitter: float, retry_after_s: float | None
) -> None:
    """Whatever is answered: no more attempts than allowed, none begun later than allowed, none after a last word."""
    planned = [
        (CallResult(result.outcome, result.status, result.body, retry_after_s), takes_s) for result, takes_s in planned
    ]
    endpoint = Endpoint(planned)
    result, count = endpoint.complete(policy, jitter)
    answers = [planned[min(number, len(planned) - 1)][0] for number in range(count)]
    assert count == len(endpoint.sent_at_s) <= policy.max_attempts
    assert endpoint.sent_at_s[-1] - endpoint.came_at_s[0] <= policy.max_elapsed_s + 1e-6
    assert result == answers[-1]
    assert {one.outcome.action for one in answers[:-1]} <= {Action.RETRY}
    assert len(endpoint.slept_s) == count - 1
    assert all(SHORTEST_WAIT_S <= slept_s <= LONGEST_WAIT_S for slept_s in endpoint.slept_s)


def test_time_is_used_up_to_its_bound() -> None:
    """A new attempt is begun as long as it can begin in time."""
    endpoint = Endpoint([(AGAIN, 0.0)])
    assert endpoint.complete(RetryPolicy(max_attempts=99, max_elapsed_s=7.5)) == (AGAIN, 5)
    assert endpoint.sent_at_s == [0.0, 0.5, 1.5, 3.5, 7.5]


def test_retry_after_zero_does_not_burn_the_attempts() -> None:
    """An endpoint that says `Retry-After: 0` is asked no sooner than the floor."""
    endpoint = Endpoint([(CallResult(outcome_of_status(429), 429, retry_after_s=0.0), 0.0)])
    endpoint.complete(RetryPolicy(max_attempts=4, max_elapsed_s=600), jitter=0.0)
    assert endpoint.slept_s == [SHORTEST_WAIT_S] * 3


@pytest.mark.parametrize(
    ("outcome", "count"),
    [
        (OUTCOMES["succeeded"], 1),
        (OUTCOMES["error_1"], 1),
        (OUTCOMES["error_4"], 1),
        (outcome_of_status(413), 1),
        (outcome_of_status(400), 1),
        (OUTCOMES["bad_reply"], 3),
        (OUTCOMES["error_2"], 5),
        (OUTCOMES["timeout"], 5),
        (OUTCOMES["unreachable"], 5),
        (OUTCOMES["connection"], 3),
        (outcome_of_status(500), 5),
    ],
)
def test_an_outcome_says_how_often(outcome: Outcome, count: int) -> None:
    """Of five attempts allowed a last word takes one, what may be billed three, what passes five."""
    assert Endpoint([(CallResult(outcome), 0.0)]).complete(RetryPolicy(5, 600)) == (CallResult(outcome), count)


def test_a_bound_of_an_outcome_raises_no_other() -> None:
    """Where two attempts are allowed, a bad response does not take three."""
    assert Endpoint([(CallResult(OUTCOMES["bad_reply"]), 0.0)]).complete(RetryPolicy(2, 600))[1] == 2


GARBAGE = CallResult(OUTCOMES["bad_reply"], 200, b"<html>")
LOST = CallResult(OUTCOMES["connection"])


@pytest.mark.parametrize(
    ("came", "code", "sent", "is_retriable"),
    [
        ([AGAIN, AGAIN, GARBAGE, ANSWERED], "succeeded", 4, False),
        ([AGAIN, AGAIN, GARBAGE, GARBAGE, GARBAGE], "bad_reply", 5, False),
        ([AGAIN, AGAIN, AGAIN, AGAIN, GARBAGE], "bad_reply", 5, True),
        ([AGAIN, GARBAGE, AGAIN, GARBAGE, AGAIN], "http_503", 5, True),
        ([GARBAGE, LOST, GARBAGE, LOST, GARBAGE], "bad_reply", 5, False),
        ([LOST, AGAIN, LOST, LOST, ANSWERED], "connection", 4, True),
    ],
)
def test_an_outcome_counts_its_own_attempts_alone(
    came: list[CallResult], code: str, sent: int, is_retriable: bool
) -> None:
    """Garbage is final after three garbage responses, however many other failures lie between; with fewer of them a
    later run has the rest of the three."""
    result, count = Endpoint([(one, 0.0) for one in came]).complete(RetryPolicy(5, 600))
    assert (result.outcome.code, count, result.outcome.retriable) == (code, sent, is_retriable)


def test_no_retry_where_none_may_be_made() -> None:
    """Whoever sends may have the retries end early; what failed for now is then left to a later run."""
    sent: list[CallResult] = []

    def send() -> CallResult:
        sent.append(GARBAGE)
        return GARBAGE

    result = send_with_retries(send, RetryPolicy(5, 600), jitter=lambda: 0.0, may_retry=lambda: False)
    assert (len(sent), result.outcome.retriable, result.body) == (1, True, GARBAGE.body)


def test_an_exception_ends_it() -> None:
    """What sending raises is raised, at once and as it is."""

    class RunStopped(Exception):
        pass

    attempts = iter([AGAIN])

    def send() -> CallResult:
        for result in attempts:
            return result
        raise RunStopped

    with pytest.raises(RunStopped):
        send_with_retries(send, RetryPolicy(5, 600), jitter=lambda: 0.0, sleep=lambda _: None)
