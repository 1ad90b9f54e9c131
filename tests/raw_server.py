"""A server on a loopback port that a test scripts down to the byte, one thread for each connection.

def script(connection: socket.socket, request: Request) -> None:
    connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n" + response(b"{}"))

with RawServer(script) as server:
    ...  # ask server.url
assert [request.method for request in server.requests] == ["GET"]
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """One request as it came; `connection` counts from 0."""

    head: bytes
    body: bytes
    connection: int

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode()

    @property
    def target(self) -> str:
        return self.head.split(b" ", 2)[1].decode()


Script = Callable[[Any, Request], None]


class RawServer:
    """Serves from `with` to its end. `script` answers each request; its connection is closed once it returns, unless
    it keeps the socket's file open. `greet` is called for each connection first; `ended` counts those that ended.

    With `reads_bodies=False` a script gets the request when its head is there.
    """

    def __init__(
        self,
        script: Script,
        *,
        tls: ssl.SSLContext | None = None,
        greet: Callable[[Any], None] = lambda connection: None,
        reads_bodies: bool = True,
    ) -> None:
        self._script, self._tls, self._greet, self._reads_bodies = script, tls, greet, reads_bodies
        self.requests: list[Request] = []
        self.connections = 0
        self.closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._open: set[Any] = set()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """What `--endpoint_url` takes."""
        return f"{self.url}/api/v2"

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the end of the test."""
        self.closing.wait(seconds)

    def __enter__(self) -> RawServer:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)  # a script may still sleep

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(30)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                self._threads.append(
                    threading.Thread(target=self._serve, args=(connection, self.connections - 1), daemon=True)
                )
                self._threads[-1].start()

    def _serve(self, connection: Any, number: int) -> None:
        with suppress(OSError), self._opened(connection) as opened:
            self._greet(opened)
            while (request := self._next(opened, number)) is not None:
                self.requests.append(request)
                self._script(opened, request)

    @contextmanager
    def _opened(self, connection: Any) -> Iterator[Any]:
        self._open.add(connection)
        with connection:
            opened = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
            self._open.add(opened)
            with opened:
                yield opened
        self._open -= {connection, opened}

    def _next(self, connection: Any, number: int) -> Request | None:
        came = b""
        while b"\r\n\r\n" not in came:
            if not (more := connection.recv(65536)):
                return None
            came += more
        head, _, body = came.partition(b"\r\n\r\n")
        found = LENGTH.search(head)
        length = int(found[1]) if found and self._reads_bodies else 0
        while len(body) < length:
            if not (more := connection.recv(65536)):
                return None
            body += more
        return Request(head, body, number)


def response(body: bytes, status: str = "200 OK", headers: str = "", length: object = None) -> bytes:
    """A response with a length, its own unless another is given."""
    message = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {message}\r\n{headers}\r\n".encode("latin-1") + body


def chunked(*chunks: bytes, headers: str = "") -> bytes:
    """A response in chunks."""
    parts = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{headers}\r\n".encode() + parts
