"""A real server's responses, faults and silences: what each means."""

from __future__ import annotations

import gzip
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cardbeam.http.body import ImagePayload
from cardbeam.http.card_client import CardClient
from cardbeam.http.http_response import KEPT_BYTES
from cardbeam.http.response import CallResult, outcome_of_response, seconds_of
from schemas.outcomes import OUTCOMES, Outcome, Signal, outcome_of_error_code, outcome_of_status
from schemas.response import MAX_RESPONSE_BYTES
from tests import misbehaviour
from tests.raw_server import RawServer, Request, response
from tests.servers import Answer, CardServer, InjectedFault, envelope, failure, success

ANSWERED = success(("passport", {"id": "B0000001"}))
RESPONSE = ANSWERED.body
TIME_OUT_S = 0.3


def response_of(what: bytes) -> bytes:
    return success(("passport", {"id": what.decode()})).body


ANSWERS = misbehaviour.ScriptedResponses(response_of(b"bad"), response_of(b"somebody else"))


def misbehaving(name: str, tls: ssl.SSLContext | None = None) -> RawServer:
    """An endpoint that misbehaves on the image `bad`, and answers any other by its content."""

    def answer(connection: Any, request: Request) -> None:
        what = request.body.split(b"\r\n\r\n")[1].split(b"\r\n")[0]
        if what == b"bad":
            misbehaviour.ALL[name](connection, ANSWERS)
        else:
            connection.sendall(response(response_of(what)))

    return RawServer(answer, tls=tls)


def timeless(result: CallResult) -> CallResult:
    assert result.latency_s >= 0
    return replace(result, latency_s=0.0)


@pytest.mark.parametrize("transfer", ["file", "url"])
@pytest.mark.parametrize("code", ["0", 0, "1", "2", "3", "4", "5", "6", 4, "77"])
def test_an_error_code_means_what_the_table_says(
    code: object, transfer: str, client_of: Callable[..., CardClient]
) -> None:
    """HTTP 200 with an errorCode, as text or as a number, has that code's outcome, and its body is kept."""
    answer = envelope([], code)
    with CardServer(lambda got: answer) as server:
        result = client_of(server.base_url, transfer=transfer).call(
            "ekyc/card", [ImagePayload(b"x", "image/jpeg", "https://x/y")]
        )
    assert timeless(result) == CallResult(outcome_of_error_code(str(code), transfer), 200, answer.body)


@pytest.mark.parametrize(
    "status", [201, 204, 301, 302, 307, 400, 401, 403, 404, 405, 408, 413, 415, 425, 429, 500, 502, 503, 504]
)
def test_a_status_means_what_the_table_says(status: int, client_of: Callable[..., CardClient]) -> None:
    """Any other status has its outcome and keeps no body; nothing is sent a second time."""
    body = b"" if status == 204 else b"<html>no</html>"
    with CardServer(lambda got: Answer(body, status)) as server:
        result = client_of(server.base_url).call("ekyc/card", [ImagePayload(b"x", "image/jpeg")])
    assert timeless(result) == CallResult(outcome_of_status(status), status)
    assert len(server.received) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int, client_of: Callable[..., CardClient]) -> None:
    """Credentials and images go to no other place than the one that was named."""
    with CardServer(lambda got: ANSWERED) as elsewhere:
        answer = Answer(status=status, headers={"Location": f"{elsewhere.base_url}/ekyc/card"})
        with CardServer(lambda got: answer) as server:
            result = client_of(server.base_url).call("ekyc/card", [ImagePayload(b"x", "image/jpeg")])
        assert result.outcome.signal is Signal.BAD_REQUEST
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
    """A 4xx that says by errorCode what is wrong with the image is that image's matter alone."""
    assert outcome_of_response(status, failure(code).body, "file") == outcome


@pytest.mark.parametrize("body", [b"", b"<html>busy</html>", RESPONSE[:-1], b"[]", b"{}"])
def test_a_bad_response_is_kept(body: bytes, client_of: Callable[..., CardClient]) -> None:
    """HTTP 200 that is not the contract's JSON is a bad response; it may have been paid for, so its body is kept."""
    with CardServer(lambda got: Answer(body)) as server:
        result = client_of(server.base_url).call("ekyc/card", [ImagePayload(b"x", "image/jpeg")])
    assert timeless(result) == CallResult(OUTCOMES["bad_reply"], 200, body)


@pytest.mark.parametrize(
    ("fault", "status", "kept"),
    [(InjectedFault.RESET, None, None), (InjectedFault.TRUNCATE, 200, RESPONSE[: len(RESPONSE) // 2])],
)
def test_a_broken_connection_is_a_connection_fault(
    fault: InjectedFault, status: int | None, kept: bytes | None, client_of: Callable[..., CardClient]
) -> None:
    """A reset, and a body that ends before its length, are faults of the connection; what came is kept."""
    with CardServer(lambda got: replace(ANSWERED, fault=fault)) as server:
        result = client_of(server.base_url).call("ekyc/card", [ImagePayload(b"x", "image/jpeg")])
    assert timeless(result) == CallResult(OUTCOMES["connection"], status, kept)
    assert len(server.received) == 1


NO_ANSWER = {
    "204, the answer late": ("bad_reply", 204, False),
    "204 and another answer": ("bad_reply", 204, False),
    "101 and another answer": ("bad_reply", None, True),
    "503, the answer late": ("http_503", 503, False),
    "half of it": ("connection", 200, True),
    "half of the head": ("connection", None, True),
    "half of the first line": ("connection", None, True),
    "gone": ("connection", None, False),
    "reset": ("connection", None, False),
    "reset in the middle": ("connection", 200, True),
    "the last chunk missing": ("connection", 200, True),
    "a chunk that is longer": ("bad_reply", 200, True),
    "a chunk size that is none": ("bad_reply", 200, True),
    "a length and chunks": ("bad_reply", None, True),
    "two lengths": ("bad_reply", None, True),
    "a negative length": ("bad_reply", None, True),
    "no HTTP": ("bad_reply", None, True),
    "false gzip": ("bad_reply", 200, True),
    "half of a gzip": ("bad_reply", 200, True),
}
"""Code, status, and whether bytes are kept: what may have been paid for is."""


@pytest.mark.parametrize("name", sorted(misbehaviour.STILL_RIGHT))
@pytest.mark.parametrize("is_tls", [False, True])
def test_the_right_answer_is_found_whatever_is_around_it(
    name: str, is_tls: bool, tls: ssl.SSLContext, client_of: Callable[..., CardClient]
) -> None:
    """It is read whole, and the calls after it, at once and when late bytes came, have answers of their own."""
    with misbehaving(name, tls if is_tls else None) as server:
        client = client_of(server.base_url)
        attempts = [
            timeless(client.call("ekyc/card", [ImagePayload(what)])) for what in (b"bad", b"1", b"2", b"bad", b"3")
        ]
    expected = [response_of(what) for what in (b"bad", b"1", b"2", b"bad", b"3")]
    assert attempts == [CallResult(OUTCOMES["succeeded"], 200, body) for body in expected]


@pytest.mark.parametrize("name", sorted(misbehaviour.NO_ANSWER))
def test_what_is_no_answer_is_none(name: str, client_of: Callable[..., CardClient]) -> None:
    """It has the outcome that the table says, and the calls after it have answers of their own."""
    with misbehaving(name) as server:
        client = client_of(server.base_url)
        bad, *good = (timeless(client.call("ekyc/card", [ImagePayload(what)])) for what in (b"bad", b"1", b"2"))
    assert (bad.outcome.code, bad.status, bad.body is not None) == NO_ANSWER[name]
    assert [result.body for result in good] == [response_of(b"1"), response_of(b"2")]


@pytest.mark.parametrize("name", sorted(misbehaviour.TOO_SLOW))
@pytest.mark.parametrize("is_tls", [False, True])
def test_one_deadline_covers_the_whole_call(
    name: str, is_tls: bool, tls: ssl.SSLContext, client_of: Callable[..., CardClient]
) -> None:
    """However soon each byte comes, the call ends in time, as a timeout."""
    with misbehaving(name, tls if is_tls else None) as server:
        result = client_of(server.base_url, timeout_s=TIME_OUT_S).call("ekyc/card", [ImagePayload(b"bad")])
    assert timeless(result) == CallResult(OUTCOMES["timeout"])
    assert result.latency_s >= TIME_OUT_S


def test_interim_responses_without_an_end_are_no_answer(client_of: Callable[..., CardClient]) -> None:
    """A server that says nothing but 100 as fast as it can is given up before the deadline."""
    flood = misbehaviour.endless(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
    with RawServer(lambda connection, _: flood(connection, ANSWERS)) as server:
        result = client_of(server.base_url).call("ekyc/card", [ImagePayload(b"x", "image/jpeg")])
    assert (result.outcome, result.status) == (OUTCOMES["bad_reply"], None)


def test_a_status_is_enough_where_no_answer_can_be(client_of: Callable[..., CardClient]) -> None:
    """A refusal whose body is broken is the refusal that it says."""
    wire = b"HTTP/1.1 429 Slow Down\r\nTransfer-Encoding: chunked\r\n\r\nnone\r\n"
    with RawServer(lambda connection, _: connection.sendall(wire)) as server:
        result = client_of(server.base_url).call("ekyc/card", [ImagePayload(b"x", "image/jpeg")])
    assert timeless(result) == CallResult(outcome_of_status(429), 429)


@pytest.mark.parametrize(
    "encoding", ["", "gzip"], ids=["as it is", "compressed"]
)  # fmt: skip
def test_a_response_beyond_the_bound_is_a_bad_response(encoding: str, client_of: Callable[..., CardClient]) -> None:
    """It is read up to the bound, however much of it there is; its first part is kept."""
    head = b'{"errorCode":"0","data":[],"x":"'
    sent_bytes = 0

    def flood(connection: socket.socket, request: Request) -> None:
        nonlocal sent_bytes
        if encoding:
            body = gzip.compress(head + b" " * 2 * MAX_RESPONSE_BYTES, 1)
            connection.sendall(response(body, headers="Content-Encoding: gzip\r\n"))
            return
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + head)
        for _ in range(16 * MAX_RESPONSE_BYTES >> 20):
            connection.sendall(b" " * (1 << 20))
            sent_bytes += 1 << 20

    with RawServer(flood) as server:
        result = client_of(server.base_url).call("ekyc/card", [ImagePayload(b"x", "image/jpeg")])
    assert timeless(result) == CallResult(OUTCOMES["bad_reply"], 200, head + b" " * (KEPT_BYTES - len(head)))
    assert sent_bytes < 4 * MAX_RESPONSE_BYTES


def test_nobody_there_is_unreachable(client_of: Callable[..., CardClient]) -> None:
    """A refused connection and a host that does not exist: nothing was sent, so it is no image's own failure."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    for base_url in (f"http://127.0.0.1:{port}/api/v2", "http://no-such-host.invalid/api/v2"):
        result = client_of(base_url).call("ekyc/card", [ImagePayload(b"x", "image/jpeg")])
        assert timeless(result) == CallResult(OUTCOMES["unreachable"])


def test_silence_is_a_time_out(client_of: Callable[..., CardClient]) -> None:
    """A server that takes the request and says nothing is given up after the timeout."""
    with CardServer(lambda got: replace(ANSWERED, latency_s=60)) as server:
        result = client_of(server.base_url, timeout_s=TIME_OUT_S).call("ekyc/card", [ImagePayload(b"x", "image/jpeg")])
    assert timeless(result) == CallResult(OUTCOMES["timeout"])
    assert result.latency_s >= TIME_OUT_S


def test_a_response_that_trickles_is_a_time_out(client_of: Callable[..., CardClient]) -> None:
    """A response of which each byte comes in time but the whole does not is given up after the timeout."""
    answer = Answer(RESPONSE + b" " * 2000, latency_s=TIME_OUT_S / 20, fault=InjectedFault.TRICKLE)
    with CardServer(lambda got: answer) as server:
        result = client_of(server.base_url, timeout_s=TIME_OUT_S).call("ekyc/card", [ImagePayload(b"x", "image/jpeg")])
    assert timeless(result) == CallResult(OUTCOMES["timeout"])
    assert result.latency_s >= TIME_OUT_S


@pytest.mark.parametrize(("stated", "seconds"), [("7", 7.0), ("0", 0.0), ("-3", 0.0), ("0.5", 0.5), ("soon", None)])
def test_retry_after_in_seconds(stated: str, seconds: float | None, client_of: Callable[..., CardClient]) -> None:
    """Retry-After comes with the attempt, never below zero; what is no time is none."""
    with CardServer(lambda got: Answer(status=503, headers={"Retry-After": stated})) as server:
        result = client_of(server.base_url).call("ekyc/card", [ImagePayload(b"x", "image/jpeg")])
    assert timeless(result) == CallResult(outcome_of_status(503), 503, retry_after_s=seconds)


def test_retry_after_as_a_date() -> None:
    """A date is so many seconds from now, and none where it is past."""
    now = datetime(2026, 11, 22, 1, 0, tzinfo=timezone.utc)
    later, earlier = (format_datetime(now + timedelta(seconds=shift), usegmt=True) for shift in (90, -90))
    assert [seconds_of(text, now.timestamp()) for text in (later, earlier)] == [90.0, 0.0]


NOW_S = 1_795_000_000.0
DATES = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(timezone.utc))


@given(st.floats(0, 1e9) | st.integers(0, 10**9))
def test_seconds_are_taken_as_they_are(seconds: float) -> None:
    """A number of seconds is that number."""
    assert seconds_of(f" {seconds} ", NOW_S) == seconds


@given(DATES.map(lambda date: date.replace(microsecond=0)))
def test_a_date_is_as_far_away_as_it_is(date: datetime) -> None:
    """A date in the form of HTTP, or with a time zone, is as far away as the clock says; not at all if it is past."""
    away_s = max(0.0, date.timestamp() - NOW_S)
    elsewhere = date.astimezone(timezone(timedelta(hours=7)))
    assert [seconds_of(text, NOW_S) for text in (format_datetime(date, usegmt=True), format_datetime(elsewhere))] == [
        away_s
    ] * 2


@example("Fri, 31 Dec 2026 23:59:59 +99999999999999")
@example("nan")
@example("-inf")
@given(st.text(max_size=30) | st.floats().map(str) | st.integers().map(str) | st.datetimes().map(format_datetime))
def test_any_retry_after_is_a_time_or_none(text: str) -> None:
    """No header raises anything or gives a negative or undefined time."""
    seconds = seconds_of(text, NOW_S)
    assert seconds is None or seconds >= 0
