"""Request -> the images it carries or names: `format_type` file, base64 and url, each a row of one table."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import orjson
from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.types import Message

from endpoint.errors import EndpointError
from endpoint.server.url_fetch import FetchBounds, UrlUnavailable, fetch

_DATA_PREFIX = re.compile(r"data:[^,]{0,200},")  # RFC 2397; what it says of the type is not needed
MultiPartParser.spool_max_size = 1 << 40  # never to a disk: cards are private, and bodies are bounded
_WHITESPACE = {ord(character): None for character in " \t\r\n"}  # base64.encodebytes breaks lines


class Refused(EndpointError):
    """A request that one of the contract's codes answers."""

    def __init__(self, error_code: str) -> None:
        super().__init__(error_code)
        self.error_code = error_code


@dataclass(frozen=True, slots=True)
class TransferBounds:
    """What one request may bring, and in what time: its body, and each image that it names by URL."""

    max_body_bytes: int
    body_timeout_s: float
    fetch: FetchBounds


async def images_of(request: Request, names: Sequence[str], bounds: TransferBounds) -> list[bytes]:
    """Request -> an image for each parameter name, none of them empty.

    Raises Refused (1 empty or missing, 2 URL, 3 not base64, 6 not the form that `format_type` says),
    HTTPException 413 for too large a body, 408 for one that takes too long, ClientDisconnect.
    """
    take = _TRANSFERS[request.method, request.query_params["format_type"]]
    images = await take(request, names, bounds)
    if not all(images):
        raise Refused("1")
    return images


def fits(method: str, format_type: str | None) -> bool:
    """Whether images can be sent this way."""
    return (method, format_type) in _TRANSFERS


async def _from_form(request: Request, names: Sequence[str], bounds: TransferBounds) -> list[bytes]:
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise Refused("6")
    body = _bounded(request, bounds)
    try:
        async with body.form(max_files=8, max_fields=8) as form:
            return [await _part(form.get(name)) for name in names]
    except UnicodeError:  # of a charset that names, or a text in an image's place, cannot be written in
        raise Refused("6") from None
    except HTTPException as error:
        if error.status_code == 400:  # Starlette's answer to a form that can't be parsed
            raise Refused("6") from None
        raise


async def _part(part: UploadFile | str | None) -> bytes:
    if isinstance(part, UploadFile):
        return await part.read()
    return (part or "").encode()


async def _from_json(request: Request, names: Sequence[str], bounds: TransferBounds) -> list[bytes]:
    try:
        body = orjson.loads(await _bounded(request, bounds).body())
    except orjson.JSONDecodeError:
        raise Refused("6") from None
    if not isinstance(body, dict):
        raise Refused("6")
    return [decode(body.get(name)) for name in names]


def decode(text: object) -> bytes:
    """Base64, with or without line breaks and with or without a `data:` prefix -> bytes. Raises Refused (3)."""
    if not isinstance(text, str | None):
        raise Refused("3")
    start = _DATA_PREFIX.match(text or "")
    try:
        return base64.b64decode((text or "")[start.end() if start else 0 :].translate(_WHITESPACE), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("3") from None


async def _from_urls(request: Request, names: Sequence[str], bounds: TransferBounds) -> list[bytes]:
    urls = [request.query_params.get(name, "") for name in names]
    try:
        return list(await asyncio.gather(*(run_in_threadpool(fetch, url, bounds.fetch) for url in urls)))
    except UrlUnavailable:
        raise Refused("2") from None


def _bounded(request: Request, bounds: TransferBounds) -> Request:
    """The same request, that stops with HTTP 413 or 408 where its body is too large or too slow."""
    too_large = HTTPException(413, f"more than {bounds.max_body_bytes} bytes")
    if int(request.headers.get("content-length", 0)) > bounds.max_body_bytes:
        raise too_large
    left_bytes = bounds.max_body_bytes
    now_s = asyncio.get_running_loop().time
    ends_at = now_s() + bounds.body_timeout_s

    async def receive() -> Message:
        nonlocal left_bytes
        try:
            message = await asyncio.wait_for(request.receive(), ends_at - now_s())
        except asyncio.TimeoutError:
            raise HTTPException(408, "the body took too long", {"Connection": "close"}) from None
        left_bytes -= len(message.get("body", b""))
        if left_bytes < 0:
            raise too_large
        return message

    return Request(request.scope, receive)


_TRANSFERS: dict[tuple[str, str | None], Callable[[Request, Sequence[str], TransferBounds], Awaitable[list[bytes]]]] = {
    ("POST", "file"): _from_form,
    ("POST", "base64"): _from_json,
    ("GET", "url"): _from_urls,
}
"""How images are sent, by method and `format_type`."""
