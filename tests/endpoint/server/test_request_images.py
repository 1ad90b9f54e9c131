"""Images are taken in every form that clients send, in memory, and nothing else is taken for an image."""

from __future__ import annotations

import asyncio
import base64
import binascii
import tempfile
from pathlib import Path

import pytest
import requests
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from endpoint.server.request_images import Refused, TransferBounds, decode, images_of
from endpoint.server.url_fetch import FetchBounds, is_public

BOUNDS = TransferBounds(10_000_000, 60, FetchBounds(10_000_000, 60, 3, is_public))


def request_with(body: bytes, headers: dict[str, str], query: str) -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "headers": raw, "query_string": query.encode(), "app": None}
    return Request(scope, receive)


def test_a_large_image_never_touches_the_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no such folder"))
    image = b"\xff\xd8" + bytes(3_000_000)
    sent = requests.Request("POST", "http://x", files={"img": image}).prepare()
    request = request_with(sent.body, dict(sent.headers), "format_type=file")
    assert asyncio.run(images_of(request, ("img",), BOUNDS)) == [image]


@given(st.binary(max_size=500), st.sampled_from(["", "data:image/jpeg;base64,", "data:;base64,", "data:,"]))
def test_bytes_come_back_from_every_form(image: bytes, prefix: str) -> None:
    forms = [
        base64.b64encode(image),
        base64.encodebytes(image),
        binascii.b2a_base64(image).replace(b"\n", b"\r\n"),
    ]
    assert [decode(prefix + form.decode()) for form in forms] == [image] * 3


@given(st.one_of(st.text(), st.integers(), st.lists(st.text()), st.booleans(), st.dictionaries(st.text(), st.text())))
def test_anything_else_is_code_3_or_nothing(value: object) -> None:
    try:
        image = decode(value)
    except Refused as refused:
        assert refused.error_code == "3"
    else:
        assert image == base64.b64decode("".join(str(value).partition(",")[2] or str(value)))


@pytest.mark.parametrize("value", [None, "", "\n", "data:image/png;base64,"])
def test_nothing_is_empty(value: object) -> None:
    assert decode(value) == b""
