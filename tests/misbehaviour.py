"""Ways in which a server or a proxy misbehaves on a request, each as the bytes that it sends.

Every way knows the right answer to the request, and an answer that is somebody else's: it must never be taken for
the right one.
"""

from __future__ import annotations

import gzip
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.raw_server import chunked, response

PAUSE_S = 0.02
LATE_S = 0.15
SLOW_S = 5.0
"""Longer than any test waits for one response."""


@dataclass(frozen=True)
class ScriptedResponses:
    """Bodies and headers (an ETag, say) of the right answer, and of somebody else's."""

    body: bytes
    other: bytes
    headers: str = ""
    other_headers: str = ""

    @property
    def right(self) -> bytes:
        return response(self.body, headers=self.headers)

    @property
    def wrong(self) -> bytes:
        return response(self.other, headers=self.other_headers)


Misbehave = Callable[[Any, ScriptedResponses], None]


def drip(connection: Any, content: bytes, every_s: float = 0.05) -> None:
    ends_at_s = time.monotonic() + SLOW_S
    for byte in content:
        connection.sendall(bytes([byte]))
        time.sleep(every_s)
        if time.monotonic() > ends_at_s:
            break
    connection.close()


def in_turn(*parts: bytes | float) -> Callable[[Any], None]:
    """Sends bytes, and waits between them."""

    def send(connection: Any) -> None:
        for part in parts:
            connection.sendall(part) if isinstance(part, bytes) else time.sleep(part)

    return send


def interim(status: str, pause_s: float) -> Misbehave:
    return lambda connection, answers: in_turn(
        f"HTTP/1.1 {status}\r\nLink: </style.css>\r\n\r\n".encode(), pause_s, answers.right
    )(connection)


def reset(connection: Any) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def cut(at: float) -> Misbehave:
    def send(connection: Any, answers: ScriptedResponses) -> None:
        connection.sendall(answers.right[: int(len(answers.right) * at)])
        connection.close()

    return send


def raw(make: Callable[[ScriptedResponses], bytes]) -> Misbehave:
    return lambda connection, answers: connection.sendall(make(answers))


def endless(unit: bytes, begin: bytes = b"", every_s: float = 0.0) -> Misbehave:
    def send(connection: Any, answers: ScriptedResponses) -> None:
        connection.sendall(begin)
        ends_at_s = time.monotonic() + SLOW_S
        while time.monotonic() < ends_at_s:
            connection.sendall(unit)
            time.sleep(every_s)
        connection.close()

    return send


OK = b"HTTP/1.1 200 OK\r\n"

STILL_RIGHT: dict[str, Misbehave] = {
    "100 first": interim("100 Continue", 0.0),
    "102 a moment before": interim("102 Processing", LATE_S),
    "103 a moment before": interim("103 Early Hints", LATE_S),
    "199 first": interim("199 Whatever", PAUSE_S),
    "many interim responses": raw(lambda of: b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + of.right),
    "twice at once": raw(lambda of: of.right + of.wrong),
    "twice, the second late": lambda connection, of: in_turn(of.right, LATE_S, of.wrong)(connection),
    "bytes behind it": raw(lambda of: of.right + b"\r\n\r\ngarbage"),
    "bytes behind it, late": lambda connection, of: in_turn(of.right, LATE_S, b"garbage\r\n" * 9)(connection),
    "chunks": raw(lambda of: chunked(of.body[:7], of.body[7:], headers=of.headers)),
    "chunks and another answer": raw(lambda of: chunked(of.body, headers=of.headers) + of.wrong),
    "chunks with extensions and trailers": raw(
        lambda of: (
            OK
            + of.headers.encode()
            + b"Transfer-Encoding: chunked\r\n\r\n%x;a=b\r\n%b\r\n0\r\nX-T: 1\r\n\r\n" % (len(of.body), of.body)
        )
    ),
    "HTTP/1.0 to the end": lambda connection, of: (
        connection.sendall(b"HTTP/1.0 200 OK\r\n" + of.headers.encode() + b"\r\n" + of.body),
        connection.close(),
    ),
    "keep-alive, then gone": lambda connection, of: (connection.sendall(of.right), connection.close()),
    "in two halves": lambda connection, of: in_turn(of.right[:50], PAUSE_S, of.right[50:])(connection),
    "gzip that was not asked for": raw(
        lambda of: response(gzip.compress(of.body), headers=f"Content-Encoding: gzip\r\n{of.headers}")
    ),
}
"""The right answer is there, whatever is around it."""

NO_ANSWER: dict[str, Misbehave] = {
    "204, the answer late": lambda connection, of: in_turn(
        b"HTTP/1.1 204 No Content\r\nContent-Length: 900\r\n\r\n", LATE_S, of.wrong
    )(connection),
    "204 and another answer": raw(lambda of: b"HTTP/1.1 204 No Content\r\n\r\n" + of.wrong),
    "101 and another answer": raw(lambda of: b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + of.wrong),
    "503, the answer late": lambda connection, of: in_turn(response(b"", "503 Busy"), LATE_S, of.wrong)(connection),
    "half of it": cut(0.5),
    "half of the head": cut(0.1),
    "half of the first line": lambda connection, of: (connection.sendall(b"HTTP/1.1 2"), connection.close()),
    "gone": lambda connection, of: connection.close(),
    "reset": lambda connection, of: reset(connection),
    "reset in the middle": lambda connection, of: (connection.sendall(of.right[:-5]), reset(connection)),
    "the last chunk missing": lambda connection, of: (
        connection.sendall(chunked(of.body, headers=of.headers)[:-5]),
        connection.close(),
    ),
    "a chunk that is longer": raw(lambda of: chunked(of.body).replace(b"\r\n0\r\n", b"...\r\n0\r\n") + of.wrong),
    "a chunk size that is none": raw(lambda of: OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + of.wrong),
    "a length and chunks": raw(
        lambda of: OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + of.wrong
    ),
    "two lengths": raw(lambda of: OK + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n" + of.wrong),
    "a negative length": raw(lambda of: response(of.other, length=-1)),
    "no HTTP": raw(lambda of: of.other + b"\n" + of.wrong),
    "false gzip": raw(lambda of: response(of.body, headers=f"Content-Encoding: gzip\r\n{of.headers}")),
    "half of a gzip": raw(lambda of: response(gzip.compress(of.body)[:-9], headers="Content-Encoding: gzip\r\n")),
}
"""No right answer is there: whatever comes of it, it is not somebody else's."""

TOO_SLOW: dict[str, Misbehave] = {
    "a slow first line": lambda connection, of: drip(connection, b"HTTP/1.1 200 " + b"O" * 1000),
    "slow headers": lambda connection, of: drip(connection, OK + b"X-A: " + b"a" * 1000),
    "a slow body": lambda connection, of: drip(connection, response(of.body + b" " * 1000)),
    "endless 100s, slowly": endless(b"HTTP/1.1 100 Continue\r\n\r\n", every_s=0.05),
    "a slow chunk size": lambda connection, of: drip(
        connection, OK + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 999
    ),
    "slow chunks": endless(b"1\r\n \r\n", OK + b"Transfer-Encoding: chunked\r\n\r\n", 0.05),
    "silence": lambda connection, of: connection.recv(1),
    "a length that never comes": lambda connection, of: (
        connection.sendall(response(of.body, length=10**9)),
        connection.recv(1),
    ),
}
"""Each byte comes in time, the response never does."""

ALL = STILL_RIGHT | NO_ANSWER | TOO_SLOW
