"""Connections with a deadline and a bound: who connects and sends nothing, or drips, keeps nobody else out."""

from __future__ import annotations

import asyncio
import resource
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_WITHIN_S = 10.0
"""From the first byte of a request, or the connection, to the end of its headers."""
MAX_CONNECTIONS = 512
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def connection_limit() -> int:
    """How many connections are held at once: half of the files that this process may open, 512 at the most."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(MAX_CONNECTIONS, soft // 2))


def bounded_protocol(
    body_within_s: float, max_connections: int, head_within_s: float = HEAD_WITHIN_S
) -> type[HttpToolsProtocol]:
    """The protocol of a server whose requests must arrive in time: headers, then a body.

    Where there are as many connections as allowed, the one that has waited longest for a request is closed for a new
    one; where each has a request in progress, the new one is answered with HTTP 503.
    """

    class BoundedProtocol(HttpToolsProtocol):
        """One connection."""

        _timer: asyncio.TimerHandle | None = None
        _is_open = False
        _waits_since_s = 0.0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base
            super().connection_made(transport)
            self._is_open = True
            self._waits_since_s = self.loop.time()
            self._expect(head_within_s)
            if len(self.connections) > max_connections:
                self._make_room()

        def connection_lost(self, exc: Exception | None) -> None:
            self._is_open = False
            self._received()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._timer is None and not self._has_request():
                self._expect(head_within_s)
            super().data_received(data)

        def on_message_begin(self) -> None:
            self._expect(head_within_s)
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._expect(body_within_s)
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._received()
            super().on_message_complete()

        def on_response_complete(self) -> None:
            self._waits_since_s = self.loop.time()
            super().on_response_complete()

        def _has_request(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _expect(self, within_s: float) -> None:
            self._received()
            if self._is_open:
                self._timer = self.loop.call_later(within_s, self._close)

        def _received(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _close(self) -> None:
            self._timer = None
            self.transport.abort()

        def _make_room(self) -> None:
            others = (cast(Any, one) for one in self.connections if one is not self)
            waiting = [one for one in others if isinstance(one, BoundedProtocol) and not one._has_request()]
            if waiting:
                oldest = min(waiting, key=lambda one: one._waits_since_s)
                self.connections.discard(oldest)
                oldest._close()
            else:
                self.transport.write(_BUSY)
                self.transport.close()

    return BoundedProtocol
