"""A proxy in front of an object store that breaks chosen requests.

def break_second_put(request: StoreRequest) -> Fault | None:
    return Fault.SLOW_DOWN if request.kind == "put" and request.number == 2 else None

with FaultProxy(server.url, decide=break_second_put) as proxy:
    ...  # talk to proxy.url
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"})


class InjectedFault(Enum):
    """What goes wrong with one request: HTTP status, whether the store gets it, what is sent back."""

    SLOW_DOWN = (503, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")
    INTERNAL = (500, "<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>")
    DENIED = (403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
    EXPIRED = (400, "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>")
    RESET = "the connection is reset before the store hears of it"
    LOST_RESPONSE = "the store does as it was told, and the connection is reset"
    TRUNCATED = "the connection ends in the middle of the response's body"
    SILENCE = "no response comes"


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """One request: what it does, to which key, and its number among those of its kind (from 1)."""

    kind: str
    key: str
    number: int


@dataclass(frozen=True, slots=True)
class _Message:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _ProxyResponse:
    status: int
    headers: Mapping[str, str]
    body: bytes


class FaultProxy:
    """Forwards from `with` to its end; `seen` are the requests in the order they came."""

    def __init__(
        self,
        upstream: str,
        decide: Callable[[StoreRequest], InjectedFault | None] = lambda request: None,
        *,
        speaks_xml: bool = True,
    ) -> None:
        self.upstream = urlsplit(upstream)
        self.decide, self.speaks_xml = decide, speaks_xml
        self.seen: list[StoreRequest] = []
        self.closing = threading.Event()
        self._numbers: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def reset(self, decide: Callable[[StoreRequest], InjectedFault | None] = lambda request: None) -> None:
        """Forget what was seen, and break other requests from now on."""
        with self._lock:
            self._numbers.clear()
            self.seen, self.decide = [], decide

    def take(self, method: str, path: str) -> InjectedFault | None:
        """Note one request; what is to go wrong with it."""
        kind, key = _kind(method, path), _key(path)
        with self._lock:
            self._numbers[kind] += 1
            request = StoreRequest(kind, key, self._numbers[kind])
            self.seen.append(request)
            return self.decide(request)

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _kind(method: str, path: str) -> str:
    query = parse_qs(urlsplit(path).query, keep_blank_values=True)
    if method == "GET" and ("list-type" in query or "comp" in query):
        return "list"
    if method == "POST":
        return "delete"  # S3 and Azure delete many at once
    return method.lower()


def _key(path: str) -> str:
    """Bucket and key; of a listing the prefix too."""
    url = urlsplit(path)
    prefix = parse_qs(url.query).get("prefix", [""])[0]
    return unquote(url.path) + (f"/{prefix}" if prefix else "")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def shutdown_request(self, request: socket.socket) -> None:
        request.close()  # without a FIN first, so that a reset is one

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is its own matter."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: FaultProxy
    _connection: http.client.HTTPConnection | None = None

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet: URLs may be presigned."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.take(self.command, self.path)
        if fault is InjectedFault.SILENCE:
            self.proxy.closing.wait()
        if fault in (InjectedFault.RESET, InjectedFault.SILENCE):
            self._reset()
        elif fault is not None and isinstance(fault.value, tuple):
            status, text = fault.value
            self._response(_ProxyResponse(status, {"Content-Type": "application/xml"}, text.encode()))
        else:
            message = _Message(self.command, self.path, dict(self.headers.items()), body)
            response = self._forward(message) if self.proxy.speaks_xml else _put_as_json(message, self._as_upstream)
            if fault is InjectedFault.LOST_RESPONSE:
                self._reset()
            else:
                self._response(response, is_cut=fault is InjectedFault.TRUNCATED)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

    def _forward(self, message: _Message) -> _ProxyResponse:
        """The store's own response. The Host header stays: it is signed."""
        if self._connection is None:
            upstream = self.proxy.upstream
            self._connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port, timeout=60)
        try:
            self._connection.request(message.method, message.path, message.body, dict(message.headers))
            response = self._connection.getresponse()
        except (http.client.HTTPException, OSError):  # the store closed a connection that was idle
            self._connection.close()
            self._connection.request(message.method, message.path, message.body, dict(message.headers))
            response = self._connection.getresponse()
        return _ProxyResponse(response.status, dict(response.getheaders()), response.read())

    def _as_upstream(self, message: _Message) -> _ProxyResponse:
        """The response to a request under the store's own name."""
        headers = {name: value for name, value in message.headers.items() if name.lower() != "host"}
        return self._forward(replace(message, headers={**headers, "Host": self.proxy.upstream.netloc}))

    def _response(self, response: _ProxyResponse, *, is_cut: bool = False) -> None:
        self.send_response_only(response.status)
        for name, value in response.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        given = {name.lower(): value for name, value in response.headers.items()}
        length = given.get("content-length", "0") if self.command == "HEAD" else str(len(response.body))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body[: len(response.body) // 2] if is_cut else response.body)
        self.close_connection = self.close_connection or is_cut

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True


def _put_as_json(message: _Message, forward: Callable[[_Message], _ProxyResponse]) -> _ProxyResponse:
    """Google's two APIs for one thing: fake-gcs-server knows the JSON one alone for uploads.

    https://cloud.google.com/storage/docs/xml-api/put-object, .../json_api/v1/objects/insert
    """
    if message.method != "PUT":
        return forward(message)
    bucket, _, key = unquote(urlsplit(message.path).path).lstrip("/").partition("/")
    path = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(key, safe='')}"
    headers = {name.lower(): value for name, value in message.headers.items()}
    if (generation := headers.get("x-goog-if-generation-match")) is not None:
        path += f"&ifGenerationMatch={generation}"
    response = forward(_Message("POST", path, message.headers, message.body))
    if response.status != http.client.OK:
        return response
    stored = json.loads(response.body)
    return _ProxyResponse(200, {"ETag": f'"{stored["etag"]}"', "x-goog-generation": stored["generation"]}, b"")
