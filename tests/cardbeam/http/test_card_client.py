"""The nine calls against a real server: what goes over the wire."""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from cardbeam.http.body import ImagePayload
from cardbeam.http.card_client import CardClient, Credentials, FreePermit
from schemas.outcomes import OUTCOMES
from tests.cardbeam.conftest import KEY, SECRET
from tests.servers import Answer, CardServer, success
from tests.wire import Part

OPERATIONS = {"ekyc/cards": ("img1", "img2"), "ekyc/card": ("img",), "ocr/card": ("img",)}
ANSWERED = success(("passport", {"id": "B0000001"}))
RESPONSE = ANSWERED.body


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
@pytest.mark.parametrize("get_thumb", [False, True])
def test_file_is_a_multipart_post(
    operation: str, get_thumb: bool, jpeg: bytes, png: bytes, pdf: bytes, client_of: Callable[..., CardClient]
) -> None:
    """By file each image is a part under the contract's name, of the content type that its bytes have."""
    kinds = [
        (jpeg, "image/jpeg", "picture.jpg"),
        (png, "image/png", "picture.png"),
        (pdf, "application/pdf", "picture.pdf"),
    ]
    names = OPERATIONS[operation]
    with CardServer(lambda got: ANSWERED) as server:
        client = client_of(server.base_url, transfer="file", get_thumb=get_thumb)
        for content, content_type, _ in kinds:
            result = client.call(operation, [ImagePayload(content, content_type)] * len(names))
            assert (result.outcome, result.status, result.body) == (OUTCOMES["succeeded"], 200, RESPONSE)
    for got, (content, content_type, file_name) in zip(server.received, kinds, strict=True):
        assert (got.method, got.path) == ("POST", f"/api/v2/{operation}")
        assert got.query == {"format_type": "file", "get_thumb": "true" if get_thumb else "false"}
        assert (got.credentials, got.headers["accept-encoding"]) == ((KEY, SECRET), "gzip, deflate")
        assert got.headers["content-type"].startswith("multipart/form-data; boundary=")
        assert got.images == tuple(Part(name, content, content_type, file_name) for name in names)


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
@pytest.mark.parametrize("get_thumb", [False, True])
def test_base64_is_a_json_post(
    operation: str, get_thumb: bool, jpeg: bytes, client_of: Callable[..., CardClient]
) -> None:
    """By base64 the body is a JSON object of the contract's names, each image plain base64 of the bytes unchanged."""
    names = OPERATIONS[operation]
    with CardServer(lambda got: ANSWERED) as server:
        client = client_of(server.base_url, transfer="base64", get_thumb=get_thumb)
        result = client.call(operation, [ImagePayload(jpeg, "image/jpeg")] * len(names))
    (got,) = server.received
    assert (result.outcome, result.status, result.body) == (OUTCOMES["succeeded"], 200, RESPONSE)
    assert (got.method, got.path) == ("POST", f"/api/v2/{operation}")
    assert got.query == {"format_type": "base64", "get_thumb": "true" if get_thumb else "false"}
    assert (got.credentials, got.headers["content-type"]) == ((KEY, SECRET), "application/json")
    assert json.loads(got.body) == dict.fromkeys(names, base64.b64encode(jpeg).decode())


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
@pytest.mark.parametrize("get_thumb", [False, True])
def test_url_is_a_get(operation: str, get_thumb: bool, client_of: Callable[..., CardClient]) -> None:
    """By URL the images' URLs are parameters, quoted whole, and nothing is in the body."""
    names = OPERATIONS[operation]
    urls = [f"https://bucket.example/thẻ {name}.jpg?sig=a%2Fb+c&x=1#y" for name in names]
    with CardServer(lambda got: ANSWERED) as server:
        client = client_of(server.base_url, transfer="url", get_thumb=get_thumb)
        result = client.call(operation, [ImagePayload(url=url) for url in urls])
    (got,) = server.received
    assert (result.outcome, result.status, result.body) == (OUTCOMES["succeeded"], 200, RESPONSE)
    assert (got.method, got.path, got.body) == ("GET", f"/api/v2/{operation}", b"")
    given = {"format_type": "url", "get_thumb": "true" if get_thumb else "false"}
    assert got.query == {**given, **dict(zip(names, urls, strict=True))}
    assert got.credentials == (KEY, SECRET)


def test_a_base_url_may_end_in_a_slash(client_of: Callable[..., CardClient]) -> None:
    """`…/api/v2/` and `…/api/v2` are the same endpoint."""
    with CardServer(lambda got: ANSWERED) as server:
        client_of(f"{server.base_url}/").call("ekyc/card", [ImagePayload(b"x", "image/jpeg")])
    assert [got.path for got in server.received] == ["/api/v2/ekyc/card"]


def test_threads_share_a_client(jpeg: bytes, client_of: Callable[..., CardClient]) -> None:
    """Many threads at once over one client each get their own answer."""
    with CardServer(lambda got: success(("passport", {"id": got.images[0].content.decode()}))) as server:
        client = client_of(server.base_url)
        ids: dict[int, str] = {}

        def call(number: int) -> None:
            result = client.call("ekyc/card", [ImagePayload(str(number).encode(), "image/jpeg")])
            ids[number] = json.loads(result.body or b"")["data"][0]["info"]["id"]

        threads = [threading.Thread(target=call, args=(number,)) for number in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert ids == {number: str(number) for number in range(24)}


def test_admission_comes_last(client_of: Callable[..., CardClient]) -> None:
    """A permit is acquired once everything is ready, and what it raises keeps the request from being sent.

    It is told when the request has left.
    """

    class Closed(Exception):
        pass

    class Refused(FreePermit):
        def acquire(self) -> None:
            raise Closed

    with CardServer(lambda got: ANSWERED) as server:
        client = client_of(server.base_url)
        with pytest.raises(Closed):
            client.call("ekyc/card", [ImagePayload(b"x", "image/jpeg")], permit=Refused())
        assert server.received == []
        happened: list[str] = []

        class Told(FreePermit):
            def acquire(self) -> None:
                happened.append(f"admitted before {len(server.received)}")

            def mark_sent(self) -> None:
                happened.append("left")

        client.call("ekyc/card", [ImagePayload(b"x", "image/jpeg")], permit=Told())
    assert (happened, len(server.received)) == (["admitted before 0", "left"], 1)


def test_nothing_secret_is_shown(client_of: Callable[..., CardClient], caplog: pytest.LogCaptureFixture) -> None:
    """Neither a repr nor a log line of ours or of the libraries, down to DEBUG, holds a credential or a signed URL."""
    caplog.set_level(logging.DEBUG, logger="transforms")
    caplog.set_level(logging.DEBUG, logger="cardbeam")
    sent = ImagePayload(url="https://bucket.example/a.jpg?X-Amz-Signature=deadbeef")
    with CardServer(lambda got: Answer(status=500)) as server:
        client = client_of(server.base_url, transfer="url")
        result = client.call("ekyc/card", [sent])
    shown = f"{Credentials(KEY, SECRET)!r} {sent!r} {result!r} {client!r} {caplog.text}"
    assert [secret for secret in (KEY, SECRET, "deadbeef") if secret in shown] == []


def test_the_environment_s_netrc_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client_of: Callable[..., CardClient]
) -> None:
    """Credentials are those that were given, whatever the machine's netrc says of the host."""
    with CardServer(lambda got: ANSWERED) as server:
        netrc = tmp_path / "netrc"
        netrc.write_text(f"machine {urlsplit(server.url).hostname} login other password other\n")
        monkeypatch.setenv("NETRC", str(netrc))
        client_of(server.base_url).call("ekyc/card", [ImagePayload(b"x", "image/jpeg")])
    assert [got.credentials for got in server.received] == [(KEY, SECRET)]
    assert requests.utils.get_netrc_auth(server.url) == ("other", "other")
