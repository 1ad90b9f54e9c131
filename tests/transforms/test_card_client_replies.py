"""A real server's replies, faults and silences: what each means."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.outcomes import OUTCOMES, Outcome, Signal, outcome_of_error_code, outcome_of_status
from tests.servers import Answer, CardServer, Fault, envelope, failure, success
from transforms.card_client import Attempt, CardClient, Sent, outcome_of_reply, seconds_of

ANSWERED = success(("passport", {"id": "B0000001"}))
REPLY = ANSWERED.body
TIME_OUT_S = 0.3


def timeless(attempt: Attempt) -> Attempt:
    assert attempt.latency_s >= 0
    return replace(attempt, latency_s=0.0)


@pytest.mark.parametrize("transfer", ["file", "url"])
@pytest.mark.parametrize("code", ["0", 0, "1", "2", "3", "4", "5", "6", 4, "77"])
def test_an_error_code_means_what_the_table_says(
    code: object, transfer: str, client_of: Callable[..., CardClient]
) -> None:
    """HTTP 200 with an errorCode, as text or as a number, has that code's outcome, and its body is kept."""
    answer = envelope([], code)
    with CardServer(lambda got: answer) as server:
        attempt = client_of(server.base_url, transfer=transfer).call(
            "ekyc/card", [Sent(b"x", "image/jpeg", "https://x/y")]
        )
    assert timeless(attempt) == Attempt(outcome_of_error_code(str(code), transfer), 200, answer.body)


@pytest.mark.parametrize(
    "status", [201, 204, 301, 302, 307, 400, 401, 403, 404, 405, 408, 413, 415, 425, 429, 500, 502, 503, 504]
)
def test_a_status_means_what_the_table_says(status: int, client_of: Callable[..., CardClient]) -> None:
    """Any other status has its outcome and keeps no body; nothing is sent a second time."""
    body = b"" if status == 204 else b"<html>no</html>"
    with CardServer(lambda got: Answer(body, status)) as server:
        attempt = client_of(server.base_url).call("ekyc/card", [Sent(b"x", "image/jpeg")])
    assert timeless(attempt) == Attempt(outcome_of_status(status), status)
    assert len(server.received) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int, client_of: Callable[..., CardClient]) -> None:
    """Credentials and pictures go to no other place than the one that was named."""
    with CardServer(lambda got: ANSWERED) as elsewhere:
        answer = Answer(status=status, headers={"Location": f"{elsewhere.base_url}/ekyc/card"})
        with CardServer(lambda got: answer) as server:
            attempt = client_of(server.base_url).call("ekyc/card", [Sent(b"x", "image/jpeg")])
        assert attempt.outcome.signal is Signal.BAD_REQUEST
        assert (len(server.received), elsewhere.received) == (1, [])


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (400, "3", OUTCOMES["error_3"]),
        (415, 3, OUTCOMES["error_3"]),
        (422, "1", OUTCOMES["error_1"]),
        (400, "6", OUTCOMES["error_6"]),
        (400, "0", outcome_of_status(400)),
        (401, "3", outcome_of_status(401)),
        (500, "3", outcome_of_status(500)),
    ],
)
def test_a_refusal_with_an_envelope_is_taken_at_its_code(status: int, code: object, outcome: Outcome) -> None:
    """A 4xx that says by errorCode what is wrong with the picture is that picture's matter alone."""
    assert outcome_of_reply(status, failure(code).body, "file") == outcome


@pytest.mark.parametrize("body", [b"", b"<html>busy</html>", REPLY[:-1], b"[]", b"{}"])
def test_a_bad_reply_is_kept(body: bytes, client_of: Callable[..., CardClient]) -> None:
    """HTTP 200 that is not the contract's JSON is a bad reply; it may have been paid for, so its body is kept."""
    with CardServer(lambda got: Answer(body)) as server:
        attempt = client_of(server.base_url).call("ekyc/card", [Sent(b"x", "image/jpeg")])
    assert timeless(attempt) == Attempt(OUTCOMES["bad_reply"], 200, body)


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.TRUNCATE])
def test_a_broken_connection_is_a_connection_fault(fault: Fault, client_of: Callable[..., CardClient]) -> None:
    """A reset, and a body that ends before its length, are faults of the connection."""
    with CardServer(lambda got: replace(ANSWERED, fault=fault)) as server:
        attempt = client_of(server.base_url).call("ekyc/card", [Sent(b"x", "image/jpeg")])
    assert timeless(attempt) == Attempt(OUTCOMES["connection"])
    assert len(server.received) == 1


def test_nobody_there_is_unreachable(client_of: Callable[..., CardClient]) -> None:
    """A refused connection and a host that does not exist: nothing was sent, so it is no image's own failure."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    for base_url in (f"http://127.0.0.1:{port}/api/v2", "http://no-such-host.invalid/api/v2"):
        attempt = client_of(base_url).call("ekyc/card", [Sent(b"x", "image/jpeg")])
        assert timeless(attempt) == Attempt(OUTCOMES["unreachable"])


def test_silence_is_a_time_out(client_of: Callable[..., CardClient]) -> None:
    """A server that takes the request and says nothing is given up after the time-out."""
    with CardServer(lambda got: replace(ANSWERED, latency_s=60)) as server:
        attempt = client_of(server.base_url, timeout_s=TIME_OUT_S).call("ekyc/card", [Sent(b"x", "image/jpeg")])
    assert timeless(attempt) == Attempt(OUTCOMES["timeout"])
    assert TIME_OUT_S <= attempt.latency_s < 20


def test_a_reply_that_trickles_is_a_time_out(client_of: Callable[..., CardClient]) -> None:
    """A reply of which each byte comes in time but the whole does not is given up after the time-out."""
    answer = Answer(REPLY + b" " * 2000, latency_s=TIME_OUT_S / 20, fault=Fault.TRICKLE)
    with CardServer(lambda got: answer) as server:
        attempt = client_of(server.base_url, timeout_s=TIME_OUT_S).call("ekyc/card", [Sent(b"x", "image/jpeg")])
    assert timeless(attempt) == Attempt(OUTCOMES["timeout"])
    assert TIME_OUT_S <= attempt.latency_s < 10


@pytest.mark.parametrize(("said", "seconds"), [("7", 7.0), ("0", 0.0), ("-3", 0.0), ("0.5", 0.5), ("soon", None)])
def test_retry_after_in_seconds(said: str, seconds: float | None, client_of: Callable[..., CardClient]) -> None:
    """Retry-After comes with the attempt, never below zero; what is no time is none."""
    with CardServer(lambda got: Answer(status=503, headers={"Retry-After": said})) as server:
        attempt = client_of(server.base_url).call("ekyc/card", [Sent(b"x", "image/jpeg")])
    assert timeless(attempt) == Attempt(outcome_of_status(503), 503, retry_after_s=seconds)


def test_retry_after_as_a_date() -> None:
    """A date is so many seconds from now, and none where it is past."""
    now = datetime(2026, 11, 22, 1, 0, tzinfo=timezone.utc)
    later, earlier = (format_datetime(now + timedelta(seconds=shift), usegmt=True) for shift in (90, -90))
    assert [seconds_of(text, now.timestamp()) for text in (later, earlier)] == [90.0, 0.0]


@example("Fri, 31 Dec 2026 23:59:59 +99999999999999")
@given(st.text(max_size=30) | st.floats().map(str) | st.integers().map(str) | st.datetimes().map(format_datetime))
def test_any_retry_after_is_a_time_or_none(text: str) -> None:
    """No header raises anything or gives a negative or undefined time."""
    seconds = seconds_of(text, time.time())
    assert seconds is None or (seconds >= 0 and not math.isnan(seconds))
