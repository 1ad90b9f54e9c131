"""The circuit breaker trips on what concerns every image, and on no failure of one image alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cardbeam.calls.circuit_breaker import FAILED_PROBES, FAILURES_IN_A_ROW, CircuitBreaker, Failure
from schemas.outcomes import OUTCOMES, Outcome, Signal, outcome_of_error_code, outcome_of_status

BUSY, REFUSED, BAD_REQUEST = outcome_of_status(503), outcome_of_status(403), outcome_of_status(400)
LOST, UNREACHABLE, UNSUPPORTED = OUTCOMES["connection"], OUTCOMES["unreachable"], OUTCOMES["unsupported_format"]
NO_ANSWERS = [BUSY, OUTCOMES["timeout"], UNREACHABLE, OUTCOMES["bad_reply"], outcome_of_status(429)]


def fail(
    breaker: CircuitBreaker, image: str, outcome: Outcome, failed_before: str = "", *, is_suspect: bool = False
) -> Outcome | None:
    """One image whose only attempt fails."""
    failure, was_probe = Failure(image, outcome, failed_before, is_suspect), breaker.is_probing
    breaker.attempt_failed(failure)
    return breaker.failed(failure, was_probe=was_probe)


def closed() -> CircuitBreaker:
    breaker = CircuitBreaker()
    breaker.succeeded()
    return breaker


@pytest.mark.parametrize("outcome", [*NO_ANSWERS, REFUSED, outcome_of_status(401), OUTCOMES["error_5"], BAD_REQUEST])
def test_three_different_images_trip_it_before_the_first_success(outcome: Outcome) -> None:
    """Neither the first two nor the same image again; the third different one does."""
    breaker = CircuitBreaker()
    assert [fail(breaker, image, outcome) for image in "aababc"] == [None] * 5 + [outcome]
    assert breaker.is_probing


@pytest.mark.parametrize("answer", ["0", "1", "2", "3"])
def test_an_answer_resets_it(answer: str) -> None:
    """After any of the contract's answers three more failures in a row trip nothing, and many may be in flight."""
    assert outcome_of_error_code(answer, "url").signal is Signal.SUCCESS
    breaker = CircuitBreaker()
    tripped = [fail(breaker, "a", BUSY), fail(breaker, "b", BUSY)]
    breaker.succeeded()
    tripped += [fail(breaker, image, BUSY) for image in "cdef"]
    assert (tripped, breaker.is_probing, breaker.nothing_more()) == ([None] * 6, False, None)


@pytest.mark.parametrize("outcome", [*NO_ANSWERS, LOST, REFUSED, BAD_REQUEST])
def test_ten_images_in_a_row_have_it_probe_and_three_more_trip_it(outcome: Outcome) -> None:
    breaker = closed()
    images = [str(number) for number in range(FAILURES_IN_A_ROW + FAILED_PROBES)]
    steps = [(fail(breaker, image, outcome), breaker.is_probing) for image in images]
    assert steps == [(None, False)] * 9 + [(None, True)] * 3 + [(outcome, True)]


def test_attempts_of_different_images_have_it_probe() -> None:
    """The requests of an outage are held back before each of them has used up its attempts."""
    breaker = closed()
    for number in range(9):
        breaker.attempt_failed(Failure(str(number), BUSY))
        breaker.attempt_failed(Failure(str(number), BUSY))
    assert not breaker.is_probing
    breaker.attempt_failed(Failure("9", BUSY))
    assert breaker.is_probing


def test_what_was_in_flight_when_it_began_to_probe_is_no_probe() -> None:
    """Sixty requests that fail together trip nothing: only what is sent while it probes does."""
    breaker = closed()
    failures = [Failure(str(number), BUSY) for number in range(60)]
    for failure in failures:
        breaker.attempt_failed(failure)
    assert [breaker.failed(failure, was_probe=False) for failure in failures] == [None] * 60
    assert breaker.is_probing


@pytest.mark.parametrize("outcome", [UNSUPPORTED, outcome_of_status(413), OUTCOMES["error_4"]])
def test_an_image_s_own_failure_counts_for_nothing(outcome: Outcome) -> None:
    breaker = CircuitBreaker()
    assert [fail(breaker, str(number), outcome) for number in range(50)] == [None] * 50
    assert breaker.nothing_more() is None


@pytest.mark.parametrize("outcome", [LOST, outcome_of_error_code("77", "file")])
def test_a_lost_connection_is_the_image_s_own_unless_many_meet_it(outcome: Outcome) -> None:
    """Nine of them trip nothing, also where no other image comes; thirteen in a row do."""
    breaker = CircuitBreaker()
    assert [fail(breaker, str(number), outcome) for number in range(9)] == [None] * 9
    assert breaker.nothing_more() is None
    assert [fail(breaker, str(number), outcome) for number in range(9, 13)] == [None, None, None, outcome]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("outcome", [*NO_ANSWERS, REFUSED, BAD_REQUEST])
def test_all_images_there_are_trip_it_before_the_first_success(outcome: Outcome, count: int) -> None:
    breaker = CircuitBreaker()
    assert [fail(breaker, str(number), outcome) for number in range(count)] == [None] * count
    assert breaker.nothing_more() == outcome


def test_ten_in_a_row_trip_it_where_no_other_image_comes_and_nine_do_not() -> None:
    breaker = closed()
    assert [fail(breaker, str(number), BUSY) for number in range(9)] == [None] * 9
    assert breaker.nothing_more() is None
    assert fail(breaker, "9", BUSY) is None
    assert breaker.nothing_more() == BUSY


@pytest.mark.parametrize("outcome", [BUSY, REFUSED, BAD_REQUEST, LOST])
def test_images_that_failed_before_in_the_same_way_trip_nothing(outcome: Outcome) -> None:
    """However many, alone or at the end; beside them new images count as ever."""
    breaker = CircuitBreaker()
    assert [fail(breaker, str(number), outcome, outcome.code) for number in range(30)] == [None] * 30
    assert breaker.nothing_more() is None
    assert [fail(breaker, image, BUSY) for image in "abc"] == [None, None, BUSY]


@pytest.mark.parametrize("before", ["http_500", "http_502", "timeout", "connection"])
def test_an_image_that_a_server_breaks_at_fails_now_in_one_way_now_in_another(before: str) -> None:
    breaker = CircuitBreaker()
    assert [fail(breaker, str(number), outcome_of_status(504), before) for number in range(5)] == [None] * 5
    assert breaker.nothing_more() is None


@pytest.mark.parametrize(("before", "now"), [("error_6", BUSY), ("http_500", BUSY), ("http_503", REFUSED)])
def test_an_outage_is_told_by_images_that_had_failed_otherwise(before: str, now: Outcome) -> None:
    """A run over images that failed before is no success while the endpoint is down."""
    breaker = CircuitBreaker()
    assert fail(breaker, "a", now, before) is None
    assert breaker.nothing_more() == now
    assert [fail(breaker, image, now, before) for image in "bc"] == [None, now]


def test_an_endpoint_that_cannot_be_reached_is_no_image_s_own() -> None:
    """Nothing was sent, so an earlier failure of the image explains nothing."""
    breaker = CircuitBreaker()
    assert fail(breaker, "a", UNREACHABLE, "unreachable") is None
    assert breaker.nothing_more() == UNREACHABLE


def test_images_that_tripped_an_earlier_run_trip_it_at_the_end_alone_or_with_many() -> None:
    """Nine of them let another image by; ten trip it, and so does one where no other comes."""
    breaker = CircuitBreaker()
    assert [fail(breaker, str(number), BUSY, is_suspect=True) for number in range(9)] == [None] * 9
    assert breaker.nothing_more() == BUSY
    assert fail(breaker, "9", BUSY, is_suspect=True) == BUSY
    assert len(breaker.blamed) == 10
    breaker.succeeded()
    assert (breaker.blamed, breaker.nothing_more()) == ((), None)


@pytest.mark.parametrize(
    ("met", "expected"),
    [
        ([REFUSED, REFUSED, BUSY], REFUSED),
        ([BUSY, REFUSED, UNREACHABLE], UNREACHABLE),
        ([BAD_REQUEST, REFUSED, BUSY], BUSY),
    ],
)
def test_it_trips_on_what_most_images_met(met: list[Outcome], expected: Outcome) -> None:
    """Of different kinds the most frequent one, else the last."""
    breaker = CircuitBreaker()
    assert [fail(breaker, str(number), outcome) for number, outcome in enumerate(met)] == [None, None, expected]


def test_an_outage_of_a_watch_opens_it_until_the_endpoint_answers() -> None:
    """No images there are trip it: more may come. While it is open, refused credentials are still told apart."""
    breaker = CircuitBreaker(pauses=True)
    assert [fail(breaker, "a", BUSY), fail(breaker, "b", BUSY), breaker.nothing_more()] == [None] * 3
    assert (fail(breaker, "c", BUSY), breaker.is_open) == (BUSY, True)
    assert [fail(breaker, image, REFUSED) for image in "abc"] == [None, None, REFUSED]
    breaker.succeeded()
    assert (breaker.is_open, breaker.is_probing) == (False, False)


OUTCOMES_OF_CALLS = [*NO_ANSWERS, LOST, REFUSED, BAD_REQUEST, UNSUPPORTED]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(OUTCOMES_OF_CALLS)), max_size=40))
def test_two_images_never_trip_it_while_others_may_come(met: list[tuple[str, Outcome]]) -> None:
    """Of any failures of two images, in any order, none trips it."""
    breaker = CircuitBreaker()
    assert [fail(breaker, "ab"[image in "ab"], outcome) for image, outcome in met] == [None] * len(met)


class Circuit(RuleBasedStateMachine):
    """Any order of answers and failures, against a model that remembers everything since the last answer."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = CircuitBreaker()
        self.was_answered = False
        self.counted: list[tuple[str, Outcome, bool]] = []
        """Failures since the last answer, and whether each was a probe."""

    def images(self) -> set[str]:
        return {image for image, _, _ in self.counted}

    @rule()
    def answer(self) -> None:
        self.breaker.succeeded()
        self.was_answered, self.counted = True, []

    @rule(
        image=st.integers(0, 20).map(str),
        outcome=st.sampled_from(OUTCOMES_OF_CALLS),
        failed_before=st.sampled_from(["", "http_403", "http_503"]),
        was_probe=st.booleans(),
    )
    def failure(self, image: str, outcome: Outcome, failed_before: str, was_probe: bool) -> None:
        failure = Failure(image, outcome, failed_before)
        was_probe &= self.breaker.is_probing
        self.breaker.attempt_failed(failure)
        tripped = self.breaker.failed(failure, was_probe=was_probe)
        if failure.is_counted:
            self.counted.append((image, outcome, was_probe))
        probes = {image for image, _, is_probe in self.counted if is_probe}
        if tripped is not None:
            assert len(probes) >= FAILED_PROBES
            assert tripped in [outcome for _, outcome, _ in self.counted]
            self.breaker = CircuitBreaker()
            self.was_answered, self.counted = False, []

    @invariant()
    def it_probes_until_the_first_answer_and_after_ten_images_in_a_row(self) -> None:
        assert self.breaker.is_probing == (not self.was_answered or len(self.images()) >= FAILURES_IN_A_ROW)

    @invariant()
    def three_probes_that_are_not_doubtful_have_tripped_it(self) -> None:
        certain = {image for image, outcome, is_probe in self.counted if is_probe and outcome.signal is not LOST.signal}
        in_order = list(dict.fromkeys(image for image, _, _ in self.counted))
        assert len(certain - {*in_order[FAILURES_IN_A_ROW - 1 : FAILURES_IN_A_ROW]}) < FAILED_PROBES


TestCircuit = settings(max_examples=200, stateful_step_count=60, deadline=None)(Circuit).TestCase
