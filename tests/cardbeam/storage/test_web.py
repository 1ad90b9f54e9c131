"""Images and manifests of a web server: each URI has its own bytes and version, within a time and a size."""

from __future__ import annotations

import gzip
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from cardbeam.inputs.image_source import ImageError, read_image
from cardbeam.model.request import ImageRef
from cardbeam.storage.web import HttpSourceError, describe_web, open_web, read_web
from schemas.outcomes import OUTCOMES
from tests import misbehaviour
from tests.raw_server import RawServer, Request, chunked, response

MOST = 1 << 20
TIMEOUT_S = 0.3


def serve(answers: dict[str, bytes], **options: Any) -> RawServer:
    """A web server with these responses by path; to HEAD it gives their heads."""

    def answer(connection: Any, request: Request) -> None:
        wire = answers.get(request.target.partition("?")[0], response(b"", "404 Not Found"))
        if request.method == "HEAD":
            wire = wire.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        connection.sendall(wire)

    return RawServer(answer, **options)


IMAGE = response(b"jpeg", headers='ETag: "v1"\r\n')


@pytest.mark.parametrize("is_tls", [False, True])
def test_an_image_is_known_by_its_version(is_tls: bool, tls: ssl.SSLContext) -> None:
    """A look tells size and version, and reading gives the bytes with the same."""
    with serve({"/a.jpg": IMAGE}, tls=tls if is_tls else None) as server:
        uri = f"{server.url}/a.jpg?sig=1#f"
        found = ImageRef(uri, 4, '"v1"')
        assert (describe_web(uri), read_web(uri, MOST)) == (found, (b"jpeg", found))
    assert [request.target for request in server.requests] == ["/a.jpg?sig=1"] * 2
    assert all(b"\r\nAccept-Encoding: identity\r\n" in request.head for request in server.requests)


@pytest.mark.parametrize(
    ("wire", "content", "size", "version"),
    [
        (response(b"jpeg", headers="Last-Modified: Sun\r\n"), b"jpeg", 4, "Sun"),
        (response(b"jpeg"), b"jpeg", 4, None),
        (chunked(b"jp", b"eg"), b"jpeg", None, None),
        (b"HTTP/1.0 200 OK\r\nETag: 1\r\n\r\njpeg", b"jpeg", None, "1"),
        (
            response(gzip.compress(b"jpeg", mtime=0), headers="Content-Encoding: gzip\r\nETag: 1\r\n"),
            b"jpeg",
            None,
            "1",
        ),
        (response(b"jpeg", "203 Transformed"), b"jpeg", 4, None),
    ],
)
def test_what_a_server_tells_of_an_image(wire: bytes, content: bytes, size: int | None, version: str | None) -> None:
    """Bytes, size and version as far as they are told; what is compressed is decompressed, and its size is not told."""

    def answer(connection: Any, request: Request) -> None:
        connection.sendall(wire)
        connection.close()

    with RawServer(answer) as server:
        uri = f"{server.url}/a.jpg"
        assert read_web(uri, MOST) == (content, ImageRef(uri, size, version))


@pytest.mark.parametrize("encoding", ["", "Content-Encoding: gzip\r\n"])
def test_no_more_is_read_than_an_image_may_have(encoding: str) -> None:
    """Of an image that is too large, packed or not, the first bytes alone are read."""
    body = gzip.compress(b"x" * 5000) if encoding else b"x" * 5000
    with serve({"/a.jpg": response(body, headers=encoding)}) as server:
        assert read_web(f"{server.url}/a.jpg", 1000)[0] == b"x" * 1000


@pytest.mark.parametrize(
    ("wire", "is_gone"),
    [
        (response(b"", "404 Not Found"), True),
        (response(b"", "410 Gone"), True),
        (response(b"", "403 Forbidden"), False),
        (response(b"", "500 Oops"), False),
        (response(b"", "204 No Content"), False),
        (response(b"je", "206 Partial Content"), False),
        (response(b"", "304 Not Modified"), False),
        (response(b"", "302 Found"), False),
        (response(b"jpeg", headers="Content-Encoding: gzip\r\n"), False),
        (response(b"jpeg", headers="Content-Encoding: br\r\n"), False),
        (b"jpeg", False),
    ],
)
def test_what_is_no_image_is_a_fault(wire: bytes, is_gone: bool) -> None:
    """A server that has none is told from one that does not give it; neither gives bytes."""

    def answer(connection: Any, request: Request) -> None:
        connection.sendall(wire)
        connection.close()

    with RawServer(answer) as server, pytest.raises(HttpSourceError) as raised:
        read_web(f"{server.url}/a.jpg", MOST)
    assert raised.value.is_gone == is_gone


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/b.jpg", "/b.jpg"),
        ("b.jpg", "/in/b.jpg"),
        ("//HOST/b.jpg?x=1", "/b.jpg?x=1"),
        ("http://HOST/b%20c.jpg", "/b%20c.jpg"),
        ("/b c.jpg", "/b%20c.jpg"),
        ("/th\xe1\xba\xbb.jpg", "/th%E1%BA%BB.jpg"),
    ],
)
def test_redirects_are_followed(status: int, location: str, target: str) -> None:
    """To wherever they lead on the web, by HEAD and by GET; size and version are those of what is there."""
    asked: list[str] = []

    def answer(connection: Any, request: Request) -> None:
        asked.append(f"{request.method} {request.target}")
        place = location.replace("HOST", f"127.0.0.1:{server.port}")
        leads = f"{status} Elsewhere", f"Location: {place}\r\n"
        wire = response(b"<html>", *leads) if request.target == "/in/a.jpg" else IMAGE
        connection.sendall(wire.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if request.method == "HEAD" else wire)

    with RawServer(answer) as server:
        uri = f"{server.url}/in/a.jpg"
        found = ImageRef(uri, 4, '"v1"')
        assert (describe_web(uri), read_web(uri, MOST)) == (found, (b"jpeg", found))
    assert asked == [f"{method} {path}" for method in ("HEAD", "GET") for path in ("/in/a.jpg", target)]


@pytest.mark.parametrize("location", ["/a.jpg", "file:///etc/passwd", "ftp://127.0.0.1/x", "http://[", "http://"])
def test_redirects_that_lead_nowhere_end(location: str) -> None:
    """A circle, another scheme and what is no URL are faults, and a look tells nothing."""
    with serve({"/a.jpg": response(b"", "302 Found", f"Location: {location}\r\n")}) as server:
        uri = f"{server.url}/a.jpg"
        assert describe_web(uri) == ImageRef(uri)
        with pytest.raises(HttpSourceError):
            read_web(uri, MOST)
    assert len(server.requests) in (2, 62)


def test_credentials_stay_with_their_host() -> None:
    """Those of a URI go to its own server, and to no other that a redirect leads to."""
    with serve({"/b.jpg": IMAGE}) as other:
        leads = response(b"", "302 Found", f"Location: {other.url.replace('127.0.0.1', 'localhost')}/b.jpg\r\n")
        with serve({"/a.jpg": leads}) as server:
            read_web(server.url.replace("//", "//user:word@") + "/a.jpg", MOST)
    assert b"\r\nAuthorization: Basic dXNlcjp3b3Jk" in server.requests[0].head
    assert b"user" not in server.requests[0].head
    assert b"uthorization" not in other.requests[0].head


def test_a_connection_that_breaks_is_tried_again() -> None:
    """A reset or a body that is cut is asked for again; the third time it is a fault."""
    breaks = iter([misbehaviour.cut(0.9), misbehaviour.NO_ANSWER["reset"], None, *[misbehaviour.cut(0.9)] * 3])

    def answer(connection: Any, request: Request) -> None:
        misbehave = next(breaks)
        if misbehave is None:
            connection.sendall(IMAGE)
        else:
            misbehave(connection, misbehaviour.ScriptedResponses(b"jpeg", b"other"))

    with RawServer(answer) as server:
        assert read_web(f"{server.url}/a.jpg", MOST)[0] == b"jpeg"
        with pytest.raises(HttpSourceError):
            read_web(f"{server.url}/a.jpg", MOST)
    assert len(server.requests) == 6


@pytest.mark.parametrize("name", sorted(misbehaviour.TOO_SLOW))
@pytest.mark.parametrize("ask", [describe_web, read_web, open_web])
def test_each_look_and_each_reading_has_a_deadline(name: str, ask: Callable[..., Any]) -> None:
    """However soon each byte comes, a look ends in time and tells nothing, and a reading ends as a fault."""
    answers = misbehaviour.ScriptedResponses(b"jpeg", b"other")
    with RawServer(lambda connection, _: misbehaviour.TOO_SLOW[name](connection, answers)) as server:
        uri = f"{server.url}/a.jpg"
        if ask is describe_web:
            assert describe_web(uri, timeout_s=TIMEOUT_S).version is None
        elif ask is read_web:
            with pytest.raises(HttpSourceError):
                read_web(uri, MOST, timeout_s=TIMEOUT_S)
        else:
            with pytest.raises(OSError):
                open_web(uri, timeout_s=TIMEOUT_S)
    assert len(server.requests) <= 1  # not asked for again


@pytest.mark.parametrize(
    "uri", ["http://no-such-host.invalid/a.jpg", "http://127.0.0.1:9/a.jpg", "http://[", "http:///x"]
)
def test_a_server_that_is_not_there_is_a_fault(uri: str) -> None:
    """A look tells nothing of it, and to read it is a dead letter's matter, whatever is wrong with the URI."""
    assert describe_web(uri) == ImageRef(uri)
    with pytest.raises(ImageError) as raised:
        read_image(uri)
    assert raised.value.outcome == OUTCOMES["unreadable_source"]


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("list.csv", response(b"uri\na\n")),
        ("list.csv", chunked(b"uri\n", b"a\n")),
        ("list.csv", response(gzip.compress(b"uri\na\n", mtime=0), headers="Content-Encoding: gzip\r\n")),
    ],
)
def test_a_manifest_is_opened_whole(name: str, wire: bytes) -> None:
    """It can be read from anywhere in it, and nothing of it stays."""
    with serve({f"/{name}": wire}) as server, open_web(f"{server.url}/{name}") as file:
        assert file.read() == b"uri\na\n"
        assert file.seek(4) == 4
        assert file.read() == b"a\n"


def test_a_manifest_that_is_compressed_itself_stays_so() -> None:
    """Servers say of a .gz that it is encoded: its reader decompresses it, by its name."""
    packed = gzip.compress(b"uri\na\n")
    wire = response(packed, headers="Content-Encoding: x-gzip\r\n")
    with serve({"/list.csv.gz": wire}) as server, open_web(f"{server.url}/list.csv.gz") as file:
        assert file.read() == packed


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        (response(b"", "404 Not Found"), "the server answers HTTP 404"),
        (b"HTTP/1.1 200 OK\r\n\r\nuri\n", "the server does not say how long it is, so that it may be cut off unseen"),
        (
            response(b"x", headers="Content-Encoding: br\r\n"),
            "the server sends a coding that was not asked for",
        ),
        (response(b"uri\n", length=9), "the connection ended in the middle of the body"),
        (b"junk\r\n", "does not begin as HTTP/1.1 does"),
    ],
)
def test_a_manifest_that_may_not_be_whole_is_refused(wire: bytes, text: str) -> None:
    """It would leave out images without a word: instead it says what is wrong."""

    def answer(connection: Any, request: Request) -> None:
        connection.sendall(wire)
        connection.close()

    with RawServer(answer) as server, pytest.raises(OSError) as raised:
        open_web(f"{server.url}/list.csv")
    assert str(raised.value) == text
