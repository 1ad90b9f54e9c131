"""A web server that hands out images, and misbehaves where a path says so; it remembers what it was asked for."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext

from tests.endpoint.simple_reader import BACK, BLANK, FRONT, image_of

PAGES = {
    "/front.png": image_of(FRONT),
    "/back.png": image_of(BACK),
    "/blank.png": image_of(BLANK),
    "/text.jpg": b"no image at all",
    "/empty.jpg": b"",
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Host"]))
        action, _, argument = self.path.partition("?")[0].lstrip("/").partition("/")
        act = getattr(self, f"_{action}", None) if argument else None
        if act:
            self.close_connection = True
            act(argument)
        else:
            self._page(PAGES.get(self.path))

    def _page(self, body: bytes | None) -> None:
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def _to(self, target: str) -> None:
        """/to/<URL or path>: a redirect whose own body never ends."""
        self.send_response(302)
        self.send_header("Location", target)
        self.end_headers()
        self._flood()

    def _bytes(self, count: str) -> None:
        """/bytes/<n>: a body of n bytes, its length not said."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"x" * int(count))

    def _gzip(self, count: str) -> None:
        """/gzip/<n>: n zeros in a small body that unpacks by itself."""
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(gzip.compress(bytes(int(count))))

    def _endless(self, _: str) -> None:
        """/endless/body: bytes without end."""
        self.send_response(200)
        self.end_headers()
        self._flood()

    def _flood(self) -> None:
        while not self.server.stopping:
            self.wfile.write(b"x" * 65536)

    def _drip(self, where: str) -> None:
        """/drip/headers, /drip/body: one byte after the other, for ever."""
        if where == "body":
            self.send_response(200)
            self.end_headers()
        else:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not self.server.stopping:
            self.wfile.write(b"x")
            time.sleep(0.05)

    def log_message(self, *_: object) -> None:
        pass


class ImageHost(ThreadingHTTPServer):
    """`asked`: path and Host header of each request, in order."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, tls: SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str]] = []
        self.stopping = False
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    @property
    def port(self) -> int:
        return self.server_address[1]

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def handle_error(self, *_: object) -> None:
        """Clients that hang up early are what is tested."""


@contextmanager
def image_host(tls: SSLContext | None = None) -> Iterator[ImageHost]:
    host = ImageHost(tls)
    threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield host
    finally:
        host.stopping = True
        host.shutdown()
        host.server_close()
