"""A real HTTP server on a loopback port, in the endpoint's place: it keeps what it got and answers as a test says.

def answer(got: Received) -> Answer:
    return Answer(status=503) if server.calls[got.key] == 1 else success(("passport", {"id": "B123"}))

with CardServer(answer) as server:
    ...  # call server.base_url
assert server.calls[key_of(jpeg)] == 2
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from tests.wire import BASE_PATH, Part, Received, images_of, key_of

__all__ = ["Answer", "CardServer", "InjectedFault", "Part", "Received", "envelope", "failure", "key_of", "success"]


class InjectedFault(Enum):
    """What goes wrong after the request was read."""

    RESET = "the connection is reset instead of a response"
    TRUNCATE = "the connection ends in the middle of the body"
    TRICKLE = "the body comes byte by byte, `latency_s` apart"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server sends back: `latency_s` after the request, as it is or with a fault."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    latency_s: float = 0.0
    fault: InjectedFault | None = None


def envelope(data: object, error_code: object = "0", **others: object) -> Answer:
    """The contract's envelope as HTTP 200."""
    response = {"data": data, "errorCode": error_code, "errorMessage": "", **others}
    return Answer(json.dumps(response).encode(), headers={"Content-Type": "application/json"})


def success(*documents: tuple[str, Mapping[str, object]]) -> Answer:
    """An answered call with documents of these types and fields, each judged as good."""
    judgement = {"valid": "True", "invalidCode": "0", "invalidMessage": "Successful"}
    return envelope([{"type": name, "info": info, **judgement} for name, info in documents])


def failure(error_code: object) -> Answer:
    """A call that the endpoint answers with an errorCode."""
    return envelope([], error_code)


class CardServer:
    """Serves from `with` to its end; everything it got stays to be checked.

    `calls` counts requests by the contents of their images (`key_of`), before the answer is
    asked for. Without `keeps_content` the bodies are dropped once they were counted and answered. With a `tls`
    context it speaks HTTPS.
    """

    def __init__(
        self,
        answer: Callable[[Received], Answer],
        *,
        keeps_content: bool = True,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        self.answer = answer
        self.received: list[Received] = []
        self.calls: Counter[str] = Counter()
        self.closing = threading.Event()
        self._keeps_content = keeps_content
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), type("Handler", (_Handler,), {"cards": self}))
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    @property
    def base_url(self) -> str:
        """What `--endpoint_url` takes."""
        return self.url + BASE_PATH

    def take(self, got: Received) -> Answer:
        """Count and keep one request, and ask the test for the answer."""
        kept = got if self._keeps_content else _without_content(got)
        with self._lock:
            self.calls[got.key] += 1
            self.received.append(kept)
        return self.answer(got)

    def hang_up(self) -> None:
        """Close the connections of all clients; new ones are taken."""
        self._server.hang_up()

    def __enter__(self) -> CardServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _without_content(got: Received) -> Received:
    return replace(got, body=b"", images=tuple(replace(part, content=b"") for part in got.images))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._connections: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: socket.socket) -> None:
        self._connections.discard(request)
        request.close()  # without a FIN first, so that a reset is one

    def server_close(self) -> None:
        """Hang up on everyone, as a server does that goes away."""
        super().server_close()
        self.hang_up()

    def hang_up(self) -> None:
        """Close every connection."""
        for connection in tuple(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is its own matter."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    cards: CardServer

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""

    def _serve(self) -> None:
        answer = self.cards.take(self._received())
        if answer.fault is not InjectedFault.TRICKLE:
            self.cards.closing.wait(answer.latency_s)
        if answer.fault is InjectedFault.RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self._send_body(answer)

    def _send_body(self, answer: Answer) -> None:
        if self.command == "HEAD":
            return
        if answer.fault is InjectedFault.TRUNCATE:
            self.wfile.write(answer.body[: len(answer.body) // 2])
            self.close_connection = True
        elif answer.fault is InjectedFault.TRICKLE:
            for byte in answer.body:
                self.wfile.write(bytes([byte]))
                self.cards.closing.wait(answer.latency_s)
        else:
            self.wfile.write(answer.body)

    do_GET = do_HEAD = do_POST = _serve

    def _received(self) -> Received:
        at_s = time.monotonic()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        images = images_of(query, headers, body)
        return Received(self.command, url.path, query, headers, body, images, at_s, self.client_address[1])
