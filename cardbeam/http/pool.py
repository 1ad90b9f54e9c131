"""Connections that are kept between requests, as far as that is safe.

HTTP/1.1 pairs responses with requests by their order alone: a response that comes twice, or a body that comes late,
answers the next request of the same connection. So a connection is kept only after a complete response with explicit
framing, and it rests: what a server sends without being asked shows itself before the connection is used again. A
server that was seen to do so is not trusted again by this process: each request has a connection of its own then.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Protocol

REST_S = 0.25
"""How long a connection rests before it is used again. A response that a server or a proxy sends twice follows the
first within milliseconds. A longer rest holds more connections open: as many as there are calls in that time."""
IDLE_TIMEOUT_S = 4.0
"""Servers close what is idle from about 5 s on (uvicorn's default), and a request may cross that on its way."""
MAX_RESTING = 256


class PeerState(Enum):
    """What the other side of an idle connection did."""

    SILENT = "silent"
    CLOSED = "closed"
    SPOKE = "spoke"


class Connection(Protocol):
    """What the pool asks of a connection."""

    def peer_state(self) -> PeerState:
        """What the other side did since the last response."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class ConnectionPool:
    """Connections to one server; shared by the threads of a process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._resting: deque[tuple[float, Connection]] = deque()
        self.is_trusted = True
        """Whether the server has only ever sent what it was asked for."""

    def acquire(self) -> Connection | None:
        """A connection that has rested and is silent still; None where there is none."""
        while (connection := self._longest_resting()) is not None:
            state = connection.peer_state()
            if state is PeerState.SILENT and self.is_trusted:
                return connection
            connection.close()
            if state is PeerState.SPOKE:
                self.distrust()
        return None

    def release(self, connection: Connection) -> None:
        """Have a connection rest whose response was complete."""
        with self._lock:
            is_kept = self.is_trusted and len(self._resting) < MAX_RESTING
            if is_kept:
                self._resting.append((self._clock(), connection))
        if not is_kept:
            connection.close()

    def distrust(self) -> None:
        """The server sent what nobody had asked for: keep no connection from now on."""
        with self._lock:
            self.is_trusted = False
            left, self._resting = self._resting, deque()
        for _, connection in left:
            connection.close()

    def _longest_resting(self) -> Connection | None:
        outdated: list[Connection] = []
        found: Connection | None = None
        now_s = self._clock()
        with self._lock:
            while found is None and self._resting and now_s - self._resting[0][0] >= REST_S:
                since_s, connection = self._resting.popleft()
                if now_s - since_s < IDLE_TIMEOUT_S:
                    found = connection
                else:
                    outdated.append(connection)
        for connection in outdated:
            connection.close()
        return found
