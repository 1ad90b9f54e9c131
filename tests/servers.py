"""A real HTTP server on a loopback port, in the endpoint's place: it keeps what it got and answers as a test says.

def answer(got: Received) -> Answer:
    return Answer(status=503) if server.calls[got.key] == 1 else success(("passport", {"id": "B123"}))

with CardServer(answer) as server:
    ...  # call server.base_url
assert server.calls[key_of(jpeg)] == 2
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

BASE_PATH = "/api/v2"
PICTURE_NAMES = ("img", "img1", "img2")


class Fault(Enum):
    """What goes wrong after the request was read."""

    RESET = "the connection is reset instead of a reply"
    TRUNCATE = "the connection ends in the middle of the body"
    TRICKLE = "the body comes byte by byte, `latency_s` apart"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server sends back: `latency_s` after the request, as it is or with a fault."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    latency_s: float = 0.0
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One picture as it came: its parameter, its bytes (or its URL), and what multipart says of it."""

    name: str
    content: bytes
    content_type: str = ""
    file_name: str = ""


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came; header names in lower case, `at_s` on the monotonic clock, `port` the client's."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    pictures: tuple[Part, ...]
    at_s: float
    port: int

    @property
    def operation(self) -> str:
        """The path below the base, `ekyc/card` for instance."""
        return self.path.removeprefix(f"{BASE_PATH}/")

    @property
    def key(self) -> str:
        """What calls are counted by: the pictures' contents in order."""
        return key_of(*(part.content for part in self.pictures))

    @property
    def credentials(self) -> tuple[str, str] | None:
        """User and password of basic auth; None where there are none."""
        scheme, _, encoded = self.headers.get("authorization", "").partition(" ")
        if scheme != "Basic":
            return None
        user, _, password = base64.b64decode(encoded).decode().partition(":")
        return user, password


def key_of(*contents: bytes) -> str:
    """The key of some pictures: a hash of each, in order."""
    return "+".join(hashlib.sha256(content).hexdigest() for content in contents)


def envelope(data: object, error_code: object = "0", **others: object) -> Answer:
    """The contract's envelope as HTTP 200."""
    reply = {"data": data, "errorCode": error_code, "errorMessage": "", **others}
    return Answer(json.dumps(reply).encode(), headers={"Content-Type": "application/json"})


def success(*documents: tuple[str, Mapping[str, object]]) -> Answer:
    """An answered call with documents of these types and fields, each judged as good."""
    judgement = {"valid": "True", "invalidCode": "0", "invalidMessage": "Successful"}
    return envelope([{"type": name, "info": info, **judgement} for name, info in documents])


def failure(error_code: object) -> Answer:
    """A call that the endpoint answers with an errorCode."""
    return envelope([], error_code)


class CardServer:
    """Serves from `with` to its end; everything it got stays to be looked at.

    `calls` counts requests by the contents of their pictures (`key_of`), before the answer is
    asked for. Without `keeps_content` the bodies are dropped once they were counted and answered.
    """

    def __init__(self, answer: Callable[[Received], Answer], *, keeps_content: bool = True) -> None:
        self.answer = answer
        self.received: list[Received] = []
        self.calls: Counter[str] = Counter()
        self.closing = threading.Event()
        self._keeps_content = keeps_content
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"cards": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._server.server_port}"

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

    def __enter__(self) -> CardServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _without_content(got: Received) -> Received:
    return replace(got, body=b"", pictures=tuple(replace(part, content=b"") for part in got.pictures))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def shutdown_request(self, request: socket.socket) -> None:
        request.close()  # without a FIN first, so that a reset is one

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
        if answer.fault is not Fault.TRICKLE:
            self.cards.closing.wait(answer.latency_s)
        if answer.fault is Fault.RESET:
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
        if answer.fault is Fault.TRUNCATE:
            self.wfile.write(answer.body[: len(answer.body) // 2])
            self.close_connection = True
        elif answer.fault is Fault.TRICKLE:
            for byte in answer.body:
                self.wfile.write(bytes([byte]))
                self.cards.closing.wait(answer.latency_s)
        else:
            self.wfile.write(answer.body)

    do_GET = do_POST = _serve

    def _received(self) -> Received:
        at_s = time.monotonic()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        pictures = _pictures(query, headers, body)
        return Received(self.command, url.path, query, headers, body, pictures, at_s, self.client_address[1])


def _pictures(query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> tuple[Part, ...]:
    """The pictures of a request, by whichever of the three ways they came."""
    content_type = headers.get("content-type", "")
    if content_type.startswith("multipart/form-data"):
        return _multipart(content_type, body)
    if content_type.startswith("application/json"):
        return tuple(Part(name, base64.b64decode(text)) for name, text in json.loads(body).items())
    return tuple(Part(name, query[name].encode()) for name in PICTURE_NAMES if name in query)


def _multipart(content_type: str, body: bytes) -> tuple[Part, ...]:
    """Cut at the boundary; the standard library reads the headers (its reader of whole messages is slow)."""
    boundary = _headers(b"Content-Type: " + content_type.encode()).get_boundary() or ""
    _, *sections, _ = (b"\r\n" + body).split(b"\r\n--" + boundary.encode())
    return tuple(map(_part, sections))


def _part(section: bytes) -> Part:
    head, _, content = section.partition(b"\r\n\r\n")
    headers = _headers(head.lstrip())
    name = str(headers.get_param("name", header="content-disposition"))
    return Part(name, content, headers.get_content_type(), headers.get_filename() or "")


def _headers(lines: bytes) -> Message:
    return BytesParser(policy=HTTP).parsebytes(lines + b"\r\n\r\n")
