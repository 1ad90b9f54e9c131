"""What each outcome of a call means, row by row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.contract import ERROR_CODES
from schemas.outcomes import (
    OUTCOMES,
    Action,
    Outcome,
    Signal,
    Stage,
    is_failure_code,
    outcome_of_code,
    outcome_of_error_code,
    outcome_of_status,
)

ANSWERED, RETRY, DEAD, STOP = Action.SUCCEEDED, Action.RETRY, Action.FAILED, Action.STOP
SUCCESS, OWN, DOUBTFUL, UNAVAILABLE = Signal.SUCCESS, Signal.OWN, Signal.DOUBTFUL, Signal.UNAVAILABLE
REFUSED, BAD_REQUEST = Signal.REFUSED, Signal.BAD_REQUEST

Meaning = tuple[Action, Signal, bool]
"""What happens now, what it tells about other images, and whether a later run tries again."""


def meaning(outcome: Outcome) -> Meaning:
    return outcome.action, outcome.signal, outcome.retriable


@pytest.mark.parametrize(
    ("error_code", "transfer", "code", "expected"),
    [
        ("0", "file", "succeeded", (ANSWERED, SUCCESS, False)),
        ("1", "file", "error_1", (DEAD, SUCCESS, False)),
        ("2", "url", "error_2", (RETRY, SUCCESS, True)),
        ("2", "file", "error_2", (DEAD, SUCCESS, False)),
        ("2", "base64", "error_2", (DEAD, SUCCESS, False)),
        ("3", "url", "error_3", (DEAD, SUCCESS, False)),
        ("4", "file", "error_4", (STOP, OWN, True)),
        ("5", "file", "error_5", (DEAD, REFUSED, True)),
        ("6", "file", "error_6", (DEAD, BAD_REQUEST, True)),
        ("77", "file", "error_77", (DEAD, DOUBTFUL, False)),
        ("Nguyễn Văn Mẫu", "file", "error_unknown", (DEAD, DOUBTFUL, False)),
        ("12345678901", "file", "error_unknown", (DEAD, DOUBTFUL, False)),
    ],
)
def test_error_codes(error_code: str, transfer: str, code: str, expected: Meaning) -> None:
    """Each errorCode has its meaning; one outside the table is final, and its text is kept out of the code."""
    outcome = outcome_of_error_code(error_code, transfer)
    assert (outcome.code, meaning(outcome)) == (code, expected)


def _expected(status: int) -> tuple[str, Meaning]:
    if status < 300:
        return "bad_reply", (RETRY, UNAVAILABLE, False)
    if status == 415:
        return "unsupported_format", (DEAD, OWN, False)
    if status == 413:
        return "http_413", (DEAD, OWN, False)
    if status in (401, 403):
        return f"http_{status}", (DEAD, REFUSED, True)
    if status in (408, 425, 429) or status >= 500:
        return f"http_{status}", (RETRY, UNAVAILABLE, True)
    return f"http_{status}", (DEAD, BAD_REQUEST, True)


def test_every_status_has_an_outcome() -> None:
    """Every HTTP status but 200 has its code, what happens now, what it tells about others, and what a rerun does."""
    outcomes = {status: outcome_of_status(status) for status in range(201, 1000)}
    found = {status: (outcome.code, meaning(outcome)) for status, outcome in outcomes.items()}
    assert found == {status: _expected(status) for status in range(201, 1000)}


def test_being_too_fast_slows_the_worker_down() -> None:
    """HTTP 429 and 503 and a timeout slow down whoever sends; other failures do not."""
    slowing = {status for status in range(300, 600) if outcome_of_status(status).slows_down}
    assert slowing == {429, 503}
    assert {code for code, outcome in OUTCOMES.items() if outcome.slows_down} == {"timeout"}


def test_what_may_be_billed_is_tried_three_times() -> None:
    """A response that is not the contract's and a connection lost after the request are tried three times at most."""
    bounds = {code: outcome.max_attempts for code, outcome in OUTCOMES.items() if outcome.max_attempts}
    assert bounds == {"bad_reply": 3, "connection": 3}
    assert outcome_of_status(503).max_attempts is None


def test_the_retriable_codes() -> None:
    """The codes of the table that a later run tries again, all of them."""
    retriable = {code for code, outcome in OUTCOMES.items() if outcome.retriable}
    read = {"not_found", "unreadable_source", "forbidden", "no_url"}
    assert retriable == read | {"error_2", "error_4", "error_5", "error_6", "timeout", "unreachable", "connection"}


def test_what_each_call_tells_about_other_images() -> None:
    """The circuit breaker's input: the signal of each outcome of a call."""
    signals: dict[Signal, set[str]] = {}
    for code, outcome in OUTCOMES.items():
        if outcome.stage is Stage.CALL:
            signals.setdefault(outcome.signal, set()).add(code)
    assert signals == {
        Signal.SUCCESS: {"succeeded", "error_1", "error_2", "error_3"},
        Signal.OWN: {"error_4", "unsupported_format"},
        Signal.DOUBTFUL: {"connection"},
        Signal.UNAVAILABLE: {"timeout", "bad_reply"},
        Signal.UNREACHABLE: {"unreachable"},
        Signal.REFUSED: {"error_5"},
        Signal.BAD_REQUEST: {"error_6"},
    }


def test_an_account_without_requests_alone_stops_a_run_at_once() -> None:
    """No other outcome stops a run by itself."""
    assert {code for code, outcome in OUTCOMES.items() if outcome.action is STOP} == {"error_4"}


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
                "unpaired",
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
    """What fails before the call failed in `read`, what fails after it in `parse`."""
    assert {code for code, outcome in OUTCOMES.items() if outcome.stage is stage} == codes
    assert {OUTCOMES[code].action for code in codes} == {DEAD}


@pytest.mark.parametrize(
    "code", ["error_1", "error_77", "error_unknown", "http_503", "timeout", "unknown_type", "unsupported_format"]
)
def test_codes(code: str) -> None:
    """What the endpoint may say, and what the table holds, is the code of a dead letter."""
    assert is_failure_code(code)


@pytest.mark.parametrize("code", ["succeeded", "", "http_5xx", "error_1,error_3", "Timeout"])
def test_no_codes(code: str) -> None:
    """Anything else is none."""
    assert not is_failure_code(code)


@given(st.sampled_from(sorted(OUTCOMES)) | st.integers(100, 599).map(lambda status: outcome_of_status(status).code))
def test_a_code_stands_for_its_outcome(code: str) -> None:
    """From the code of a dead letter its outcome is found again; of another version's code, the code."""
    made = {outcome_of_status(status).code: outcome_of_status(status) for status in range(100, 600)}
    assert outcome_of_code(code) == {**made, **OUTCOMES}[code]


@pytest.mark.parametrize("code", ["error_88", "error_unknown", "http_x", "of_tomorrow", ""])
def test_an_unknown_code_is_kept(code: str) -> None:
    outcome = outcome_of_code(code)
    assert (outcome.code, outcome.action, outcome.retriable) == (code, Action.FAILED, False)
