"""Connections: ready before permission is asked for, and used however long that takes."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from requests.auth import HTTPBasicAuth
from urllib3 import Timeout

from schemas.outcomes import OUTCOMES
from tests.servers import CardServer, success
from transforms.card_client import CardClient, Sent
from transforms.lines import Lines

ANSWERED = success(("passport", {"id": "B0000001"}))
REPLY = ANSWERED.body
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


def test_a_large_picture_leaves_whole_however_slowly_it_is_taken(client_of: Callable[..., CardClient]) -> None:
    """What does not fit into the first write follows it: the bytes on the wire are the head and the whole body."""
    content = bytes(range(256)) * 20_000
    got = bytearray()
    with listening() as server:

        def take_slowly() -> None:
            connection, _ = server.accept()
            with connection:
                while b"\r\n\r\n" not in got or len(got.partition(b"\r\n\r\n")[2]) < length_of(got):
                    got.extend(connection.recv(100_000))
                    time.sleep(0.001)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(REPLY), REPLY))

        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        taker = threading.Thread(target=take_slowly)
        taker.start()
        client = client_of(f"http://127.0.0.1:{server.getsockname()[1]}/api/v2")
        attempt = client.call("ekyc/card", [Sent(content, "image/jpeg")])
        taker.join()
    assert (attempt.outcome, attempt.body, bytes(got).count(content)) == (OUTCOMES["answered"], REPLY, 1)


def length_of(request: bytes) -> int:
    head = bytes(request).partition(b"\r\n\r\n")[0].lower()
    return int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])


@pytest.mark.parametrize("transfer", ["file", "base64", "url"])
def test_over_tls_the_same_arrives(
    transfer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client_of: Callable[..., CardClient]
) -> None:
    """Pictures larger than any buffer arrive over TLS as they were; a server that nobody vouches for gets nothing."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    picture = [Sent(b"\xff" * 3_000_000, "image/jpeg", "https://pictures.example/1.jpg")]
    with CardServer(lambda got: ANSWERED, tls=context) as server:
        stranger = client_of(server.base_url, transfer=transfer).call("ekyc/card", picture)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        client = client_of(server.base_url, transfer=transfer)
        attempts = [client.call("ekyc/card", picture) for _ in range(2)]
    assert stranger.outcome == OUTCOMES["unreachable"]
    assert [attempt.outcome for attempt in attempts] == [OUTCOMES["answered"]] * 2
    sent = [part.content for got in server.received for part in got.pictures]
    assert sent == [picture[0].url.encode() if transfer == "url" else picture[0].content] * 2


def test_a_picture_may_take_longer_to_send_than_a_connection_to_open() -> None:
    """The time-out of connecting is over when the connection stands; the sending has the one of the call."""
    pieces = [bytes(1024 * 1024)] * 32  # more than what both sides' buffers hold

    def take_late(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            time.sleep(1.5)
            left = sum(map(len, pieces))
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(1)
            while left:
                left -= len(connection.recv(min(left, 1024 * 1024)))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with listening() as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/api/v2"
        thread = threading.Thread(target=take_late, args=(server,), daemon=True)
        thread.start()
        lines = Lines(url, HTTPBasicAuth("key", "secret"), 1, Timeout(connect=0.5, read=30.0))
        call = lines.prepare("POST", url, {}, {})
        with lines.send(call, pieces, lambda: lambda: None) as response:
            assert (response.status, response.read()) == (200, b"{}")
        lines.close()
        thread.join(30)
