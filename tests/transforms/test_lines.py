"""Connections: ready before permission is asked for, and used however long that takes."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from schemas.outcomes import OUTCOMES
from tests.servers import CardServer, success
from transforms.card_client import CardClient, Sent

ANSWERED = success(("passport", {"id": "B0000001"}))
PICTURE = [Sent(b"x", "image/jpeg")]


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A socket that takes connections and answers nothing by itself."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        yield server


def test_a_connection_stands_before_permission_is_asked_for(client_of: Callable[..., CardClient]) -> None:
    """When `admit` is called the endpoint has the connection, and not a byte of the request."""
    seen: list[object] = []
    with listening() as server:

        def look() -> Callable[[], None]:
            connection, _ = server.accept()
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(1)
            seen.append("connected")
            connection.close()
            return lambda: None

        client = client_of(f"http://127.0.0.1:{server.getsockname()[1]}/api/v2", timeout_s=0.2)
        client.call("ekyc/card", PICTURE, admit=look)
    assert seen == ["connected"]


def test_a_connection_that_is_closed_while_it_waits_costs_no_second_permission(
    client_of: Callable[..., CardClient],
) -> None:
    """What was admitted goes over another connection; `admit` is called once, and the request sent once."""
    with CardServer(lambda got: ANSWERED) as server:
        client = client_of(server.base_url)
        client.call("ekyc/card", PICTURE)
        admitted: list[int] = []

        def wait_too_long() -> Callable[[], None]:
            admitted.append(len(server.received))
            server.hang_up()
            time.sleep(0.05)
            return lambda: None

        attempt = client.call("ekyc/card", PICTURE, admit=wait_too_long)
    assert (attempt.outcome, admitted, len(server.received)) == (OUTCOMES["answered"], [1], 2)
