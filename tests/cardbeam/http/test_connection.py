"""Connections: ready before a permit is asked for, used for one request alone, never waited for beyond a deadline."""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from cardbeam.http.body import ImagePayload
from cardbeam.http.card_client import CardClient, Credentials, FreePermit
from cardbeam.http.connection import Request, send_request
from cardbeam.http.deadline import Deadline
from cardbeam.http.http_response import Response
from cardbeam.http.server import find_server
from schemas.outcomes import OUTCOMES
from tests.raw_server import RawServer, response
from tests.servers import CardServer, success

ANSWERED = success(("passport", {"id": "B0000001"}))
RESPONSE = ANSWERED.body
IMAGE = [ImagePayload(b"x", "image/jpeg")]
LONG = bytes(range(256)) * 20_000


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A socket that takes connections and answers nothing by itself."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        yield server


def exchange(url: str, timeout_s: float = 30.0, body: list[bytes] | None = None, method: str = "POST") -> Response:
    """One request and its response."""
    server = find_server(url, {})
    request = Request(method, "/", server.headers, body)
    with send_request(server, request, lambda: (Deadline(timeout_s), lambda: None)) as reader:
        return reader.read(1 << 20)


def test_a_connection_stands_before_permission_is_asked_for(client_of: Callable[..., CardClient]) -> None:
    """When a permit is acquired the endpoint has the connection, and not a byte of the request."""
    seen: list[object] = []
    with listening() as server:

        class Checked(FreePermit):
            def acquire(self) -> None:
                connection, _ = server.accept()
                connection.setblocking(False)
                with pytest.raises(BlockingIOError):
                    connection.recv(1)
                seen.append("connected")
                connection.close()

        client = client_of(f"http://127.0.0.1:{server.getsockname()[1]}/api/v2", timeout_s=0.2)
        client.call("ekyc/card", IMAGE, permit=Checked())
    assert seen == ["connected"]


@pytest.mark.parametrize("goodbye", [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", b"\r\n"])
@pytest.mark.parametrize("is_tls", [False, True])
def test_a_connection_that_does_not_outlast_the_wait_costs_no_second_permit(
    goodbye: bytes, is_tls: bool, tls: ssl.SSLContext, client_of: Callable[..., CardClient]
) -> None:
    """One that is closed, or that says anything, goes unused: the request leaves once, over another connection."""
    waited, ended = threading.Event(), threading.Event()

    def greet(connection: socket.socket) -> None:
        if server.connections == 1:
            waited.wait(30)
            if goodbye:
                connection.sendall(goodbye)
            else:
                connection.shutdown(socket.SHUT_WR)
            ended.set()

    admitted: list[int] = []

    class Late(FreePermit):
        def acquire(self) -> None:
            admitted.append(len(server.requests))
            waited.set()
            ended.wait(30)
            time.sleep(0.02)  # what was sent has to cross the loopback device

    with RawServer(lambda to, _: to.sendall(response(RESPONSE)), tls=tls if is_tls else None, greet=greet) as server:
        result = client_of(server.base_url).call("ekyc/card", IMAGE, permit=Late())
    assert (result.outcome, result.body, admitted) == (OUTCOMES["succeeded"], RESPONSE, [0])
    assert ([request.connection for request in server.requests], server.connections) == ([1], 2)


def test_a_request_shows_nothing_of_itself() -> None:
    """Neither credentials nor a signed URL nor an image is in its repr."""
    request = Request("GET", "/a.jpg?sig=deadbeef", b"Authorization: Basic c2VjcmV0\r\n", [b"image"])
    assert repr(request) == "Request(method='GET')"


def test_nothing_is_sent_to_a_server_that_speaks_first(client_of: Callable[..., CardClient]) -> None:
    """What says something before it is asked answers no request: none is sent, and its words are nobody's answer.

    Each connection to it is closed.
    """
    text = threading.Semaphore(0)
    opened: list[socket.socket] = []

    def greet(connection: socket.socket) -> None:
        connection.sendall(response(RESPONSE))
        text.release()

    def wait() -> Callable[[], None]:
        text.acquire(timeout=30)
        time.sleep(0.02)
        return lambda: None

    def connect_and_wait(timeout_s: float) -> socket.socket:
        opened.append(server_of.connect(timeout_s))
        wait()
        return opened[-1]

    with RawServer(lambda to, _: to.sendall(response(RESPONSE)), greet=greet) as server:
        server_of = find_server(server.url, {})
        slow = type("Slow", (), {"connect": staticmethod(connect_and_wait)})()
        request = Request("GET", "/", server_of.headers)
        with (
            pytest.raises(ConnectionError),
            send_request(slow, request, lambda: (Deadline(30), lambda: None)),
        ):
            pytest.fail("a response")
    assert server.requests == []
    assert [one.fileno() for one in opened] == [-1, -1]


def test_each_request_has_a_connection_of_its_own(client_of: Callable[..., CardClient]) -> None:
    """None is used again, and each ends with its response, which the request asks for."""
    with RawServer(lambda to, _: to.sendall(response(RESPONSE))) as server:
        client = client_of(server.base_url)
        attempts = [client.call("ekyc/card", IMAGE) for _ in range(3)]
    assert [result.outcome for result in attempts] == [OUTCOMES["succeeded"]] * 3
    assert [request.connection for request in server.requests] == [0, 1, 2]
    assert all(b"\r\nConnection: close\r\n" in request.head for request in server.requests)


@pytest.mark.parametrize("is_tls", [False, True])
def test_the_other_side_sees_the_end_of_a_connection(is_tls: bool, tls: ssl.SSLContext) -> None:
    """After the response the server reads the end of the connection; so it does where the deadline passed."""
    ends: list[bytes] = []

    def answer(connection: socket.socket, request: object) -> None:
        if len(server.requests) == 1:
            connection.sendall(response(b"{}"))
        try:
            ends.append(connection.recv(1))
        except ConnectionResetError:
            ends.append(b"")

    with RawServer(answer, tls=tls if is_tls else None) as server:
        assert exchange(server.url) == Response(200, {"content-length": "2"}, b"{}")
        with pytest.raises(TimeoutError):
            exchange(server.url, timeout_s=1.0)
        ends_at_s = time.monotonic() + 30
        while len(ends) < 2 and time.monotonic() < ends_at_s:
            time.sleep(0.01)
    assert ends == [b"", b""]


@pytest.mark.parametrize("is_tls", [False, True])
def test_a_large_image_leaves_whole_however_slowly_it_is_taken(is_tls: bool, tls: ssl.SSLContext) -> None:
    """What does not fit into the first write follows it: the bytes on the wire are the head and the whole body."""
    got = bytearray()

    def take_slowly(connection: socket.socket, request: object) -> None:
        while len(got) < len(LONG) - len(server.requests[0].body):
            got.extend(connection.recv(100_000))
            time.sleep(0.001)
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n" + response(b"{}"))

    def narrow(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)

    with RawServer(take_slowly, tls=tls if is_tls else None, greet=narrow, reads_bodies=False) as server:
        assert exchange(server.url, body=[LONG[:1000], b"", LONG[1000:]]).body == b"{}"
    assert server.requests[0].body + bytes(got) == LONG
    assert f"\r\nContent-Length: {len(LONG)}".encode() in server.requests[0].head


@pytest.mark.parametrize("is_tls", [False, True])
def test_interim_responses_do_not_stop_an_upload(is_tls: bool, tls: ssl.SSLContext) -> None:
    """A server that says 100 and 103 before it reads the body gets all of it."""
    got = bytearray()

    def hint_and_take(connection: socket.socket, request: object) -> None:
        for part in (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1", b".1 103 Early Hints\r\nLink: </a>\r\n\r\n"):
            connection.sendall(part)
            time.sleep(0.02)
        while len(got) < len(LONG) - len(server.requests[0].body):
            got.extend(connection.recv(100_000))
        connection.sendall(response(b"{}"))

    with RawServer(hint_and_take, tls=tls if is_tls else None, reads_bodies=False) as server:
        assert exchange(server.url, body=[LONG]).body == b"{}"
    assert server.requests[0].body + bytes(got) == LONG


@pytest.mark.parametrize("is_tls", [False, True])
@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_refusal_need_not_wait_for_the_body(interim: bytes, is_tls: bool, tls: ssl.SSLContext) -> None:
    """A final response that comes while the body is sent ends the sending, though nobody reads the rest."""

    def refuse(connection: socket.socket, request: object) -> None:
        connection.sendall(interim + response(b"too large", "413 Content Too Large"))
        server.pause(30)

    with RawServer(refuse, tls=tls if is_tls else None, reads_bodies=False) as server:
        found = exchange(server.url, body=[LONG * 8])
    assert (found.status, found.body) == (413, b"too large")


def test_an_upload_that_nobody_reads_ends_at_the_deadline(client_of: Callable[..., CardClient]) -> None:
    """The time of a call covers the sending, too."""
    with RawServer(lambda to, request: server.pause(30), reads_bodies=False) as server:
        result = client_of(server.base_url, timeout_s=0.2).call("ekyc/card", [ImagePayload(LONG * 8, "image/jpeg")])
    assert result.outcome == OUTCOMES["timeout"]


def test_an_image_may_take_longer_to_send_than_a_connection_to_open() -> None:
    """The timeout of connecting is over when the connection stands; the sending has the deadline of the call."""

    def take_late(connection: socket.socket, request: object) -> None:
        time.sleep(0.2)
        left = 8 * len(LONG) - len(server.requests[0].body)
        while left:
            left -= len(connection.recv(1 << 20))
        connection.sendall(response(b"{}"))

    with RawServer(take_late, reads_bodies=False) as server:
        found = find_server(server.url, {})
        request = Request("POST", "/", found.headers, [LONG] * 8)
        with send_request(found, request, lambda: (Deadline(30), lambda: None), connect_timeout_s=0.1) as reader:
            assert reader.read(100).body == b"{}"


@pytest.mark.parametrize("transfer", ["file", "base64", "url"])
def test_over_tls_the_same_arrives(transfer: str, tls: ssl.SSLContext, client_of: Callable[..., CardClient]) -> None:
    """Images larger than any buffer arrive over TLS as they were."""
    image = [ImagePayload(b"\xff" * 3_000_000, "image/jpeg", "https://images.example/1.jpg")]
    with CardServer(lambda got: ANSWERED, tls=tls) as server:
        client = client_of(server.base_url, transfer=transfer)
        attempts = [client.call("ekyc/card", image) for _ in range(2)]
    assert [(result.outcome, result.body) for result in attempts] == [(OUTCOMES["succeeded"], RESPONSE)] * 2
    sent = [part.content for got in server.received for part in got.images]
    assert sent == [image[0].url.encode() if transfer == "url" else image[0].content] * 2


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_server_that_cannot_prove_who_it_is_gets_nothing(
    name: str, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, client_of: Callable[..., CardClient]
) -> None:
    """Neither one that nobody vouches for, nor one whose certificate is for another name."""
    if name == "127.0.0.1":
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with CardServer(lambda got: ANSWERED, tls=tls) as server:
        result = client_of(server.base_url.replace("127.0.0.1", name)).call("ekyc/card", IMAGE)
    assert (result.outcome, server.received) == (OUTCOMES["unreachable"], [])


class Proxy:
    """A proxy that opens tunnels, or forwards requests as they are; `asked` are their first lines."""

    def __init__(
        self, forwards_to: int | None = None, answer: bytes = b"HTTP/1.1 200 OK\r\nX-Proxy: 1\r\n\r\n"
    ) -> None:
        self.asked: list[str] = []
        self.heads: list[bytes] = []
        self._forwards_to, self._answer = forwards_to, answer

    def __call__(self, connection: socket.socket, request: object) -> None:
        head: bytes = request.head  # type: ignore[attr-defined]
        self.heads.append(head)
        self.asked.append(head.split(b"\r\n")[0].decode())
        if self._forwards_to is None:
            connection.sendall(self._answer)
            port = int(head.split(b" ")[1].rpartition(b":")[2])
        else:
            port = self._forwards_to
        with socket.create_connection(("127.0.0.1", port)) as beyond:
            if self._forwards_to is not None:
                beyond.sendall(head + b"\r\n\r\n" + request.body)  # type: ignore[attr-defined]
            self._pass_on(connection, beyond)

    @staticmethod
    def _pass_on(near: socket.socket, far: socket.socket) -> None:
        """Both ways in one thread: a TLS socket may not be read and written at once."""
        target = {near: far, far: near}
        with suppress(OSError):
            while True:
                is_buffered = isinstance(near, ssl.SSLSocket) and near.pending()
                for source in [near] if is_buffered else select.select([near, far], [], [], 30)[0]:
                    if not (more := source.recv(65536)):
                        return
                    target[source].sendall(more)


@pytest.mark.parametrize("proxy_is_tls", [False, True])
def test_a_tunnel_leads_through_a_proxy(
    proxy_is_tls: bool, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, client_of: Callable[..., CardClient]
) -> None:
    """https goes through the tunnel that a proxy opens, over TLS or not; the proxy sees neither head nor image."""
    proxy = Proxy()
    with (
        CardServer(lambda got: ANSWERED, tls=tls) as server,
        RawServer(proxy, tls=tls if proxy_is_tls else None) as between,
    ):
        monkeypatch.setenv("https_proxy", between.url)
        client = client_of(server.base_url)
        attempts = [client.call("ekyc/card", [ImagePayload(LONG, "image/jpeg")]) for _ in range(2)]
    assert [result.body for result in attempts] == [RESPONSE] * 2
    assert [part.content for got in server.received[:2] for part in got.images] == [LONG] * 2
    assert [line[:-4] for line in proxy.asked] == [f"CONNECT {server.url.rpartition('/')[2]} HTTP"] * 2
    assert b"uthorization" not in b"".join(proxy.heads)


@pytest.mark.parametrize("proxy_is_tls", [False, True])
def test_the_deadline_holds_behind_a_proxy(
    proxy_is_tls: bool, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, client_of: Callable[..., CardClient]
) -> None:
    """Through a tunnel, over TLS or not, neither a silent server nor one that reads nothing is waited for longer."""
    with (
        RawServer(lambda connection, _: server.pause(1), tls=tls, reads_bodies=False) as server,
        RawServer(Proxy(), tls=tls if proxy_is_tls else None) as between,
    ):
        monkeypatch.setenv("https_proxy", between.url)
        client = client_of(server.base_url, timeout_s=0.3)
        attempts = [client.call("ekyc/card", [ImagePayload(content)]) for content in (b"x", LONG * 8)]
    assert [result.outcome for result in attempts] == [OUTCOMES["timeout"]] * 2


def test_a_proxy_forwards_what_is_not_over_tls(
    monkeypatch: pytest.MonkeyPatch, client_of: Callable[..., CardClient]
) -> None:
    """http goes to the proxy whole, by its full URL and with the proxy's own credentials."""
    with CardServer(lambda got: ANSWERED) as server:
        proxy = Proxy(int(server.url.rpartition(":")[2]))
        with RawServer(proxy) as between:
            monkeypatch.setenv("http_proxy", between.url.replace("//", "//user:word@"))
            result = client_of(server.base_url).call("ekyc/card", IMAGE)
    assert (result.outcome, result.body) == (OUTCOMES["succeeded"], RESPONSE)
    assert proxy.asked == [f"POST {server.base_url}/ekyc/card?format_type=file&get_thumb=false HTTP/1.1"]
    assert b"\r\nProxy-Authorization: Basic dXNlcjp3b3Jk" in proxy.heads[0]


def test_no_proxy_is_asked_for_hosts_that_need_none(
    monkeypatch: pytest.MonkeyPatch, client_of: Callable[..., CardClient]
) -> None:
    """NO_PROXY names the endpoint: it is called without the proxy, which is not there."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with CardServer(lambda got: ANSWERED) as server:
        refused = client_of(server.base_url).call("ekyc/card", IMAGE)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        result = client_of(server.base_url).call("ekyc/card", IMAGE)
    assert (refused.outcome, result.outcome) == (OUTCOMES["unreachable"], OUTCOMES["succeeded"])


@pytest.mark.parametrize("through_proxy", [False, True])
def test_a_client_certificate_says_who_connects(
    through_proxy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client_of: Callable[..., CardClient]
) -> None:
    """An endpoint of a private CA that asks for a certificate is called with one, and not without."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    ours = tmp_path / "client.pem"
    authority.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(str(ours))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with CardServer(lambda got: ANSWERED, tls=context) as server, RawServer(Proxy()) as between:
        if through_proxy:
            monkeypatch.setenv("https_proxy", between.url)
        without = client_of(server.base_url).call("ekyc/card", IMAGE)
        result = CardClient(server.base_url, Credentials("key", "secret", str(ours))).call("ekyc/card", IMAGE)
    assert (without.body, result.outcome, result.body) == (None, OUTCOMES["succeeded"], RESPONSE)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"junk\r\n\r\n", b""])
def test_a_proxy_that_opens_no_tunnel_leaves_the_endpoint_unreachable(
    answer: bytes, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, client_of: Callable[..., CardClient]
) -> None:
    """Whatever it says instead, nothing is sent."""
    with RawServer(lambda to, _: (to.sendall(answer), to.close())) as between:
        monkeypatch.setenv("https_proxy", between.url)
        result = client_of("https://127.0.0.1:9/api/v2").call("ekyc/card", IMAGE)
    assert result.outcome == OUTCOMES["unreachable"]


def test_a_proxy_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The response to CONNECT has one deadline, however soon each byte of it comes."""

    def drip(connection: socket.socket, request: object) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not server.closing.is_set():
            connection.sendall(b"a")
            server.pause(0.02)

    with RawServer(drip) as server:
        monkeypatch.setenv("https_proxy", server.url)
        with pytest.raises(OSError):
            find_server("https://127.0.0.1:9/", {}).connect(0.2)
