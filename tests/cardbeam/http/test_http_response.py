"""Responses byte by byte: what is one is read to its end however it comes, and nothing else is taken for one."""

from __future__ import annotations

import http.client
import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cardbeam.http.http_response import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    BrokenResponse,
    Response,
    ResponseReader,
    Truncated,
    WrongFraming,
)
from tests.raw_server import chunked, response

MOST = 1 << 20
TOKENS = st.text("abcdefgXYZ-0123456789", min_size=1, max_size=12).map(lambda name: f"X-{name}")
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f\x85\xa0"), max_size=12)
HEADERS = st.dictionaries(TOKENS, VALUES, max_size=5)
STATUSES = st.sampled_from([200, 201, 206, 400, 404, 413, 429, 500, 503, 599, 999])
INTERIM = st.lists(
    st.tuples(st.sampled_from([100, 102, 103, 110, 199]), HEADERS).map(
        lambda one: b"HTTP/1.1 %d Wait\r\n%b\r\n" % (one[0], lines(one[1]))
    ),
    max_size=3,
).map(b"".join)


def lines(headers: dict[str, str], end: str = "\r\n") -> bytes:
    return "".join(f"{name}: {value}{end}" for name, value in headers.items()).encode("latin-1")


def reader_of(pieces: Sequence[bytes], method: str = "POST") -> ResponseReader:
    """A reader of a connection that gives these pieces, each in as many as are asked for, and then ends."""
    left = [piece for piece in pieces if piece]

    def receive(most: int) -> bytes:
        if not left:
            return b""
        piece = left.pop(0)
        if len(piece) > most:
            left.insert(0, piece[most:])
        return piece[:most]

    return ResponseReader(receive, method)


def cut(content: bytes, places: Sequence[int]) -> list[bytes]:
    """Content in pieces."""
    edges = sorted({0, len(content), *(place % (len(content) + 1) for place in places)})
    return [content[start:end] for start, end in pairwise(edges)]


@st.composite
def framed(draw: st.DrawFn) -> tuple[bytes, Response]:
    """The bytes of a response that says where it ends, and what it is."""
    status, headers, body = draw(STATUSES), draw(HEADERS), draw(st.binary(max_size=200))
    end = draw(st.sampled_from(["\r\n", "\n"]))
    known = {name.lower(): value for name, value in headers.items()}
    if len(known) < len(headers):
        headers = known
    if draw(st.booleans()):
        framing, wire = {"content-length": str(len(body))}, body
    else:
        framing = {"transfer-encoding": draw(st.sampled_from(["chunked", "Chunked"]))}
        extension = draw(st.sampled_from([b"", b";a=b", b" ; x"]))
        chunks = [piece for piece in cut(body, draw(st.lists(st.integers(0, 200), max_size=4))) if piece]
        wire = b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
        wire += b"0\r\n" + draw(st.sampled_from([b"", b"X-Trailer: 1\r\n"])) + b"\r\n"
    head = f"HTTP/1.1 {status} Reason{end}".encode() + lines(headers | framing, end) + end.encode()
    return head + wire, Response(status, known | framing, body)


@given(framed(), INTERIM, st.binary(max_size=20), st.lists(st.integers(0), max_size=6))
def test_a_response_is_read_to_its_end_however_it_comes(
    case: tuple[bytes, Response], interim: bytes, behind: bytes, places: list[int]
) -> None:
    """Interim responses are skipped, what stands behind the response is left, and the pieces make no difference."""
    wire, expected = case
    assert reader_of(cut(interim + wire + behind, places)).read(MOST) == expected


@given(framed(), INTERIM, st.integers(0))
def test_a_response_that_is_cut_off_is_none(case: tuple[bytes, Response], interim: bytes, place: int) -> None:
    """Cut off anywhere before its end, it is never taken for a shorter one."""
    wire, expected = case
    end = len(wire)
    if "transfer-encoding" in expected.headers:  # trailers end nothing
        end = wire.rindex(b"0\r\n") + 3
    whole = interim + wire[:end]
    with pytest.raises(Truncated):
        reader_of([whole[: place % len(whole)]]).read(MOST)


@given(framed())
def test_the_standard_library_reads_the_same(case: tuple[bytes, Response]) -> None:
    """Status and body are those that http.client finds, where that knows the form."""
    wire, _ = case

    class Connection:
        def makefile(self, *_: Any) -> io.BytesIO:
            return io.BytesIO(wire)

    known = http.client.HTTPResponse(Connection(), method="POST")  # type: ignore[arg-type]
    known.begin()
    read = reader_of([wire]).read(MOST)
    assert (read.status, read.body) == (known.status, known.read())


@example(b"HTTP/1.1 200 OK\r\n\r\n")
@given(
    st.binary(max_size=300)
    | st.lists(st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 \n", b"Content-Length: 3", b"\r\n", b"a", b"0"]))
    .map(b"".join)
)  # fmt: skip
def test_any_bytes_are_a_response_or_a_broken_one(wire: bytes) -> None:
    """Nothing else is raised, and what is kept of a broken one was among the bytes."""
    try:
        found = reader_of([wire]).read(MOST)
    except BrokenResponse as error:
        assert len(error.received) <= len(wire) + wire.count(b"\n") and (error.received or not wire)
    else:
        assert found.body in wire and found.status >= 200


OK = b"HTTP/1.1 200 OK\r\n"
WRONG = {
    "no status line": b'{"errorCode":"0"}',
    "an empty line first": b"\r\n" + response(b"x"),
    "HTTP/2": b"HTTP/2.0 200 OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 OK\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + response(b"x"),
    "two lengths": OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
    "two lengths in one": OK + b"Content-Length: 1, 2\r\n\r\nxy",
    "a negative length": response(b"x", length=-1),
    "a length with a sign": response(b"x", length="+1"),
    "a length in hexadecimal": response(b"x", length="0x1"),
    "a length of other digits": response(b"x", length="\xb9"),
    "an empty length": response(b"x", length=""),
    "a length beyond any": response(b"x", length=10**30),
    "a length and chunks": OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "chunks of HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "chunks in gzip": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "chunks twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "another coding": OK + b"Transfer-Encoding: xchunked\r\n\r\nx",
    "white space before the colon": OK + b"Content-Length : 1\r\n\r\nx",
    "white space before the name": OK + b"A: b\r\n\x0bTransfer-Encoding: chunked\r\n\r\nx",
    "a folded length": OK + b"Content-Length: 1\r\n 2\r\n\r\n" + b"x" * 12,
    "a chunk size that is none": OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
    "a negative chunk size": OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n",
    "a chunk size in another form": OK + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n",
    "a chunk that is longer": OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n0\r\n\r\n",
    "a chunk size beyond any": OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 16 + b"\r\nx",
    "an endless chunk size": OK + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 5000,
    "an endless header": OK + b"A: " + b"x" * MAX_HEAD_BYTES,
    "endless headers": OK + b"A: b\r\n" * (MAX_HEADERS + 1) + b"\r\n",
    "endless interim responses": b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_HEAD_BYTES // 25 + 1),
    "an endless first line": b"HTTP/1.1 200 " + b"x" * MAX_HEAD_BYTES,
}


@pytest.mark.parametrize("name", WRONG)
def test_framing_that_is_not_clear_is_refused(name: str) -> None:
    """Nothing is guessed: it is no response, and the bytes that came of it are kept."""
    with pytest.raises(WrongFraming) as raised:
        reader_of([WRONG[name]]).read(MOST)
    assert raised.value.received


TAKEN = {
    "a length twice the same": (OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", b"x"),
    "a list of the same length": (OK + b"Content-Length: 1, 1\r\n\r\nxyz", b"x"),
    "line feeds alone": (b"HTTP/1.1 200\nContent-Length: 1\n\nx", b"x"),
    "a header that is none": (OK + b"no header\r\nContent-Length: 1\r\n\r\nx", b"x"),
    "a header folded": (OK + b"A: b\r\n\tc\r\nContent-Length: 1\r\n\r\nx", b"x"),
    "bytes that are no ASCII": (b"HTTP/1.1 200 \xff\r\nX-\xff: \xfe\r\nContent-Length: 1\r\n\r\nx", b"x"),
    "no length": (OK + b"\r\nall of it", b"all of it"),
    "HTTP/1.0 without a length": (b"HTTP/1.0 200 OK\r\n\r\nall of it", b"all of it"),
    "204 with a body": (b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc", b""),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", b""),
    "trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\nA: b\r\n\r\n", b"x"),
    "chunks": (chunked(b"ab", b"c"), b"abc"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_unusual_responses_are_read(name: str) -> None:
    """What is unusual and yet clear is read."""
    wire, body = TAKEN[name]
    assert reader_of([wire]).read(MOST).body == body


def test_a_head_has_no_body() -> None:
    """The response to HEAD tells a length and ends with its head."""
    read = reader_of([response(b"", length=7, headers="ETag: 1\r\n")], method="HEAD").read(MOST)
    assert read == Response(200, {"content-length": "7", "etag": "1"}, b"")


@pytest.mark.parametrize("wire", [response(b"x" * 1000), OK + b"\r\n" + b"x" * 1000, chunked(b"x" * 10, b"x" * 990)])
def test_no_more_is_read_than_asked_for(wire: bytes) -> None:
    """A body ends at the bound; what is behind it is left on the connection."""
    asked: list[int] = []

    def receive(most: int) -> bytes:
        asked.append(most)
        return wire[sum(asked[:-1]) :][:most]

    reader = ResponseReader(lambda most: receive(min(most, 120)), "GET")
    assert reader.read(100).body == b"x" * 100
    assert sum(asked) < len(wire)


def test_a_broken_connection_keeps_what_came() -> None:
    """A reset in the middle of the body is told with the status and the bytes until then; so is one in the head."""
    for wire, status, received in ((response(b"xyz")[:-1], 200, b"xy"), (b"HTTP/1.1 2", None, b"HTTP/1.1 2")):
        left = [wire]

        def receive(most: int, left: list[bytes] = left) -> bytes:
            if left:
                return left.pop()
            raise ConnectionResetError(104, "Connection reset by peer")

        with pytest.raises(Truncated) as raised:
            ResponseReader(receive, "GET").read(MOST)
        assert (raised.value.status, raised.value.received) == (status, received)


def test_a_deadline_ends_the_reading() -> None:
    """What the connection raises at a deadline is handed on as it is."""

    def receive(most: int) -> bytes:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        ResponseReader(receive, "GET").read(MOST)
