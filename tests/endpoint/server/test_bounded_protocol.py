"""Silent and slow connections are closed in time, and never keep out who sends a request."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from socket import create_connection, create_server, socket

import pytest
import uvicorn

from endpoint.server.bounded_protocol import bounded_protocol

MAX_CONNECTIONS = 4
WITHIN_S = 0.5
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
pytestmark = pytest.mark.slow


@contextmanager
def serving(*, body_within_s: float = WITHIN_S) -> Iterator[int]:
    """A server of the protocol, whose app reads no body; `/slow` answers late. Gives its port."""

    async def app(scope, receive, send) -> None:
        if scope["path"] == "/slow":
            await asyncio.sleep(2 * WITHIN_S)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    listener = create_server(("127.0.0.1", 0))
    protocol = bounded_protocol(body_within_s, MAX_CONNECTIONS, WITHIN_S)
    server = uvicorn.Server(uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def connect(port: int) -> socket:
    return create_connection(("127.0.0.1", port), timeout=20)


def status_of(connection: socket, request: bytes = REQUEST) -> bytes:
    connection.sendall(request)
    return connection.recv(1000)[9:12]


def is_closed(connection: socket) -> bool:
    """Whether the server closes it within the timeout."""
    try:
        return connection.recv(1000) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"G",
        b"\r\n\r\n",
        REQUEST[:-2],
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf",
    ],
)
def test_a_request_that_does_not_become_whole_loses_its_connection(sent: bytes) -> None:
    with serving() as port, connect(port) as silent:
        silent.sendall(sent)
        started = time.monotonic()
        while not is_closed(silent):  # the answer to a request whose body nobody reads comes first
            pass
        assert time.monotonic() - started < 10


@pytest.mark.parametrize("drop", [b"\r\n", b"GET / HTTP/1.1\r\nA: b"])
def test_a_byte_now_and_then_does_not_put_the_end_off(drop: bytes) -> None:
    with serving() as port, connect(port) as drip:
        drip.sendall(drop)
        until_s = time.monotonic() + 10
        with pytest.raises(ConnectionError):
            while time.monotonic() < until_s:
                drip.sendall(b"\r\n" if drop == b"\r\n" else b"c")
                time.sleep(WITHIN_S / 5)


def test_a_connection_serves_one_request_after_another() -> None:
    """A request that takes longer than its arrival may, and a pause between two, are nobody's fault."""
    with serving() as port, connect(port) as kept:
        slow = REQUEST.replace(b"GET /", b"GET /slow")
        statuses = [status_of(kept), status_of(kept, slow)]
        time.sleep(2 * WITHIN_S)
        assert [*statuses, status_of(kept)] == [b"200"] * 3


def test_silent_connections_make_room_for_one_that_speaks() -> None:
    with serving() as port, ExitStack() as stack:
        silent = [stack.enter_context(connect(port)) for _ in range(3 * MAX_CONNECTIONS)]
        with connect(port) as speaks:
            assert status_of(speaks) == b"200"
        assert is_closed(silent[0])


def test_where_all_are_busy_the_next_is_told_to_come_again() -> None:
    with serving() as port, ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS):
            stack.enter_context(connect(port)).sendall(REQUEST.replace(b"GET /", b"GET /slow"))
        time.sleep(WITHIN_S / 2)
        with connect(port) as refused:
            assert refused.recv(1000).startswith(b"HTTP/1.1 503 ")
