"""Requests as they come over the wire: what a call says, and the images in it by whichever way they came."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP

BASE_PATH = "/api/v2"
IMAGE_NAMES = ("img", "img1", "img2")


@dataclass(frozen=True, slots=True)
class Part:
    """One image as it came: its parameter, its bytes (or its URL), and what multipart says of it."""

    name: str
    content: bytes
    content_type: str = ""
    file_name: str = ""


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came; header names in lower case, `at_s` on the monotonic clock, `port` the client's."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    images: tuple[Part, ...]
    at_s: float
    port: int

    @property
    def operation(self) -> str:
        """The path below the base, `ekyc/card` for instance."""
        return self.path.removeprefix(f"{BASE_PATH}/")

    @property
    def key(self) -> str:
        """What calls are counted by: the images' contents in order."""
        return key_of(*(part.content for part in self.images))

    @property
    def credentials(self) -> tuple[str, str] | None:
        """User and password of basic auth; None where there are none."""
        scheme, _, encoded = self.headers.get("authorization", "").partition(" ")
        if scheme != "Basic":
            return None
        user, _, password = base64.b64decode(encoded).decode().partition(":")
        return user, password


def key_of(*contents: bytes) -> str:
    """The key of some images: a hash of each, in order."""
    return "+".join(hashlib.sha256(content).hexdigest() for content in contents)


def images_of(query: Mapping[str, str], headers: Mapping[str, str], body: bytes) -> tuple[Part, ...]:
    """The images of a request, by whichever of the three ways they came."""
    content_type = headers.get("content-type", "")
    if content_type.startswith("multipart/form-data"):
        return _multipart(content_type, body)
    if content_type.startswith("application/json"):
        return tuple(Part(name, base64.b64decode(text)) for name, text in json.loads(body).items())
    return tuple(Part(name, query[name].encode()) for name in IMAGE_NAMES if name in query)


def _multipart(content_type: str, body: bytes) -> tuple[Part, ...]:
    """Cut at the boundary; the standard library reads the headers (its reader of whole messages is slow)."""
    boundary = _headers(b"Content-Type: " + content_type.encode()).get_boundary() or ""
    _, *sections, _ = (b"\r\n" + body).split(b"\r\n--" + boundary.encode())
    return tuple(map(_part, sections))


def _part(section: bytes) -> Part:
    head, _, content = section.partition(b"\r\n\r\n")
    headers = _headers(head.lstrip())
    name = str(headers.get_param("name", header="content-disposition"))
    return Part(name, content, headers.get_content_type(), headers.get_filename() or "")


def _headers(lines: bytes) -> Message:
    return BytesParser(policy=HTTP).parsebytes(lines + b"\r\n\r\n")
