"""One connection, one request, one response.

HTTP/1.1 pairs responses with requests by their order alone: a response that comes twice, or a body that comes late, is
the answer to the next request of the same connection, whenever that is sent, and no client can tell. So each request
has a connection of its own, which nothing else ever uses, and what follows its response is never read.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from cardbeam.http.deadline import Deadline
from cardbeam.http.http_response import MAX_HEAD_BYTES, ResponseReader
from cardbeam.http.server import HttpServer

CONNECT_TIMEOUT_S = 10.0
_PIECES_AT_ONCE = 16
_READABLE, _WRITABLE = select.POLLIN, select.POLLOUT
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_INTERIM = re.compile(rb"(?:HTTP/1\.[0-9] 1[^\n]*\n(?:[^\r\n][^\n]*\n)*\r?\n)*")
_BEGINS_INTERIM, _BEGINS_BYTES = re.compile(rb"HTTP/1\.[0-9] 1"), 10
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it is sent: its head without the length of the body, and the body in pieces. None of it is shown."""

    method: str
    target: str = field(repr=False)
    headers: bytes = field(repr=False)
    body: Sequence[bytes] | None = field(default=None, repr=False)

    def pieces(self) -> list[bytes]:
        """What leaves, in order: the head, and the body behind it."""
        first = f"{self.method} {self.target} HTTP/1.1\r\n".encode("ascii")
        if self.body is None:
            return [b"%b%b\r\n" % (first, self.headers)]
        return [b"%b%bContent-Length: %d\r\n\r\n" % (first, self.headers, sum(map(len, self.body))), *self.body]


Begin = Callable[[], tuple[Deadline, Callable[[], object]]]
"""Called when the connection stands: by when the response must be complete, and what to call when the head has left."""


@contextmanager
def send_request(
    server: HttpServer, request: Request, begin: Begin, connect_timeout_s: float = CONNECT_TIMEOUT_S
) -> Iterator[ResponseReader]:
    """Open a connection, call `begin`, send, and hand out the response for reading; the connection ends with the block.

    Where the connection does not outlast `begin`, which may wait for a permit, another one is opened.

    Raises:
        TimeoutError: the connection does not stand in time, or the request has not left by the deadline.
        OSError: the connection is refused or breaks; nothing of a response came.
    """
    pieces = request.pieces()
    connection = _Connection(server.connect(connect_timeout_s))
    try:
        deadline, has_left = begin()
        if not connection.is_silent():
            connection.close()
            connection = _Connection(server.connect(min(connect_timeout_s, deadline.left_s())))
            if not connection.is_silent():
                raise ConnectionError("the server sends before it is asked")
        received = connection.send(pieces, deadline, has_left)
        yield ResponseReader(partial(connection.receive, deadline), request.method, received)
    finally:
        connection.close()


class _Connection:
    """A socket, or TLS over one, each wait of which ends at the deadline."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._polls = isinstance(sock, socket.socket)
        """TLS through a proxy with TLS is neither: it takes timeouts only."""
        if self._polls:
            sock.setblocking(False)

    def is_silent(self) -> bool:
        """Whether the other side has said nothing yet and is still there. Tickets of TLS are not for us."""
        if not self._polls:
            self._sock.settimeout(0.0)
        with suppress(OSError):
            try:
                self._sock.recv(1)
            except _NOT_YET:
                return True
        return False

    def send(self, pieces: Sequence[bytes], deadline: Deadline, has_left: Callable[[], object]) -> bytes:
        """Send all, unless the final response comes before; what came meanwhile.

        A server that refuses a request need not read it: its response is read where the sending fails.
        """
        left, received, is_first = [memoryview(piece) for piece in pieces if piece], bytearray(), True
        while left and not _has_final(received):
            try:
                sent_bytes = self._send_some(left, deadline)
            except _NOT_YET as error:
                if not self._receive_meanwhile(received, deadline, isinstance(error, ssl.SSLWantReadError)):
                    break
                continue
            except TimeoutError:
                raise
            except OSError:
                if is_first:
                    raise
                break
            if is_first:
                has_left()
            is_first = False
            left = _without(left, sent_bytes)
        return bytes(received)

    def _send_some(self, pieces: list[memoryview], deadline: Deadline) -> int:
        if type(self._sock) is socket.socket:  # as many at once as go: each alone would wake the other side
            return self._sock.sendmsg(pieces[:_PIECES_AT_ONCE])
        if not self._polls:
            self._sock.settimeout(deadline.left_s())
        return self._sock.send(pieces[0])

    def _receive_meanwhile(self, received: bytearray, deadline: Deadline, only_reads: bool) -> bool:
        """Wait until more can be sent, and take what comes; False where the connection ended."""
        if not self._wait(_READABLE if only_reads else _READABLE | _WRITABLE, deadline) & ~_WRITABLE:
            return True
        try:
            came = self._sock.recv(MAX_HEAD_BYTES)
        except _NOT_YET:
            return True
        except OSError:
            return False
        received += came
        return bool(came)

    def receive(self, deadline: Deadline, max_bytes: int) -> bytes:
        """Some bytes, as soon as there are any; none at the end of the connection."""
        if not self._polls:
            self._sock.settimeout(deadline.left_s())
            return self._sock.recv(max_bytes) or b""
        events = _READABLE
        if type(self._sock) is socket.socket:  # an answer takes long: asked at once, there is none
            self._wait(events, deadline)
        while True:
            try:
                return self._sock.recv(max_bytes)
            except ssl.SSLWantWriteError:
                events = _WRITABLE
            except _NOT_YET:
                events = _READABLE
            self._wait(events, deadline)

    def _wait(self, events: int, deadline: Deadline) -> int:
        poll = select.poll()
        poll.register(self._sock, events)
        while not (ready := poll.poll(1000 * deadline.left_s() + 1)):
            pass
        return ready[0][1]

    def close(self) -> None:
        """Let go of it at once, so that no port of this machine waits a minute for what may still come."""
        with suppress(OSError):
            if self._polls:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._sock.close()


def _without(pieces: list[memoryview], sent_bytes: int) -> list[memoryview]:
    """What is left of pieces of which that many bytes were sent."""
    for number, piece in enumerate(pieces):
        if sent_bytes < len(piece):
            return [piece[sent_bytes:], *pieces[number + 1 :]]
        sent_bytes -= len(piece)
    return []


def _has_final(received: bytearray) -> bool:
    """Whether what came while a request was sent is more than interim responses."""
    interim = _INTERIM.match(received)
    rest = received[interim.end() if interim else 0 :]
    is_interim = _BEGINS_INTERIM.match(rest) if len(rest) >= _BEGINS_BYTES else True
    return len(received) > MAX_HEAD_BYTES or not is_interim
