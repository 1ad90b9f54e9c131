"""What each outcome of a call means, row by row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.contract import ERROR_CODES
from schemas.outcomes import (
    OUTCOMES,
    STOPS,
    Action,
    Stage,
    is_code_of_a_death,
    outcome_of_error_code,
    outcome_of_status,
)

ANSWERED, RETRY, DEAD = Action.ANSWERED, Action.RETRY, Action.DEAD
EMPTY, REFUSED, AT_FAULT = Action.STOP_OUT_OF_REQUESTS, Action.STOP_REFUSED, Action.STOP_AT_FAULT


@pytest.mark.parametrize(
    ("error_code", "transfer", "code", "action", "retriable"),
    [
        ("0", "file", "answered", ANSWERED, False),
        ("1", "file", "error_1", DEAD, False),
        ("2", "url", "error_2", RETRY, True),
        ("2", "file", "error_2", DEAD, False),
        ("2", "base64", "error_2", DEAD, False),
        ("3", "url", "error_3", DEAD, False),
        ("4", "file", "error_4", EMPTY, True),
        ("5", "file", "error_5", REFUSED, True),
        ("6", "file", "error_6", AT_FAULT, True),
        ("77", "file", "error_77", DEAD, False),
        ("Nguyễn Văn Mẫu", "file", "error_unknown", DEAD, False),
        ("12345678901", "file", "error_unknown", DEAD, False),
    ],
)
def test_error_codes(error_code: str, transfer: str, code: str, action: Action, retriable: bool) -> None:
    """Each errorCode has its meaning; one outside the table is dead, and its text is kept out of the code."""
    outcome = outcome_of_error_code(error_code, transfer)
    assert (outcome.code, outcome.action, outcome.retriable) == (code, action, retriable)


@pytest.mark.parametrize(
    ("statuses", "action", "retriable"),
    [
        ((401, 403), REFUSED, True),
        ((400, 404, 405, 415), AT_FAULT, True),
        ((300, 301, 302, 303, 307, 308), AT_FAULT, True),
        ((408, 425, 429, 500, 502, 503, 504, 520, 599), RETRY, True),
        ((413,), DEAD, False),
    ],
)
def test_statuses(statuses: tuple[int, ...], action: Action, retriable: bool) -> None:
    """Each HTTP status has its meaning, and its number stands in the code."""
    for status in statuses:
        outcome = outcome_of_status(status)
        assert (outcome.code, outcome.action, outcome.retriable) == (f"http_{status}", action, retriable)


def test_being_too_fast_slows_the_worker_down() -> None:
    """HTTP 429 and 503 and a time-out slow down whoever sends; other faults do not."""
    slowing = {status for status in range(300, 600) if outcome_of_status(status).slows_down}
    assert slowing == {429, 503}
    assert {code for code, outcome in OUTCOMES.items() if outcome.slows_down} == {"timeout"}


@pytest.mark.parametrize("status", [201, 202, 204, 206])
def test_success_without_an_answer_is_a_bad_reply(status: int) -> None:
    """The contract answers with 200 alone."""
    assert outcome_of_status(status) is OUTCOMES["bad_reply"]


def test_a_bad_reply_may_have_been_paid_for() -> None:
    """A reply that is not the contract's is asked for three times at the most and not by later runs."""
    outcome = OUTCOMES["bad_reply"]
    assert (outcome.action, outcome.max_attempts, outcome.retriable) == (RETRY, 3, False)


@given(st.integers(201, 599))
def test_every_status_has_an_outcome(status: int) -> None:
    """No status other than 200 counts as answered, and whatever dies for good is not retriable."""
    outcome = outcome_of_status(status)
    assert outcome.action is not ANSWERED
    assert outcome.retriable == (outcome.action not in (DEAD, ANSWERED) and outcome.code != "bad_reply")


def test_stops_are_those_that_concern_every_request() -> None:
    """An empty account, refused credentials and a caller at fault stop the run; nothing else does."""
    assert set(STOPS) == {EMPTY, REFUSED, AT_FAULT}
    assert {code for code, outcome in OUTCOMES.items() if outcome.action in STOPS} == {"error_4", "error_5", "error_6"}


def test_codes_are_their_own_keys() -> None:
    """The table is keyed by code, has every errorCode but success, and says each in words."""
    assert {code: outcome.code for code, outcome in OUTCOMES.items()} == {code: code for code in OUTCOMES}
    assert {f"error_{code}" for code in ERROR_CODES if code != "0"} <= set(OUTCOMES)
    assert all(outcome.message for outcome in OUTCOMES.values())


@pytest.mark.parametrize(
    ("stage", "codes"),
    [
        (
            Stage.READ,
            {
                "not_found",
                "lone_side",
                "unreadable_source",
                "forbidden",
                "no_url",
                "unreadable_image",
                "password_protected",
                "too_large",
            },
        ),
        (Stage.PARSE, {"unknown_type", "bad_document", "no_document"}),
    ],
)
def test_stages_say_where_a_request_died(stage: Stage, codes: set[str]) -> None:
    """What dies before the call died in `read`, what dies after it in `parse`."""
    assert {code for code, outcome in OUTCOMES.items() if outcome.stage is stage} == codes
    assert {OUTCOMES[code].action for code in codes} == {DEAD}


@pytest.mark.parametrize("code", ["error_1", "error_77", "error_unknown", "http_503", "timeout", "unknown_type"])
def test_codes(code: str) -> None:
    """What the endpoint may say, and what the table holds, is the code of a dead letter."""
    assert is_code_of_a_death(code)


@pytest.mark.parametrize("code", ["answered", "", "http_5xx", "error_1,error_3", "Timeout"])
def test_no_codes(code: str) -> None:
    """Anything else is none."""
    assert not is_code_of_a_death(code)
