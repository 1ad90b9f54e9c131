"""Requests <-> bytes: how requests go through a shuffle, a dozen and more in one small element.

A runner holds, copies and sends every element of a shuffle, one inside the process several times over; as an object of
its own a request is 800 bytes there, in a pack some 40, for neighbours have most of their URIs in common.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator

import orjson

from cardbeam.model.request import EarlierRecord, ImageRef, Request

_PACKED_BYTES = 2048
"""Of JSON in one pack, a dozen requests and more; so much waits for each group at the most."""
_LEVEL = 1
_END = b"\n"


def pack(requests: Iterable[Request]) -> bytes:
    """Some requests as one element."""
    return _pack(b"".join(map(encode, requests)))


def unpack(packed: bytes) -> Iterator[Request]:
    """The requests of one element, as they were."""
    return map(decode, zlib.decompress(packed).split(_END)[:-1])


class Packer:
    """Collects requests by group, and gives a pack when there are enough for one."""

    def __init__(self) -> None:
        self._waiting: dict[str, bytearray] = defaultdict(bytearray)

    def add(self, group: str, request: Request) -> Iterator[tuple[str, bytes]]:
        """Take one; a pack, if that makes one full."""
        waiting = self._waiting[group]
        waiting += encode(request)
        if len(waiting) >= _PACKED_BYTES:
            yield group, _pack(self._waiting.pop(group))

    def rest(self) -> Iterator[tuple[str, bytes]]:
        """What waits, as packs; then nothing does."""
        while self._waiting:
            group, waiting = self._waiting.popitem()
            yield group, _pack(waiting)


def _pack(encoded: bytes | bytearray) -> bytes:
    return zlib.compress(encoded, _LEVEL)


def encode(request: Request) -> bytes:
    """A request as a line."""
    images = [(image.uri, image.size_bytes, image.version) for image in request.images]
    has_more = request.may_retry or request.failed_before or request.earlier
    more = (request.may_retry, request.failed_before, request.earlier) if has_more else ()
    return orjson.dumps((request.operation, images, request.labels, *more)) + _END


def decode(encoded: bytes) -> Request:
    """The request of a line, with its end or without."""
    operation, images, labels, *more = orjson.loads(encoded)
    labels = tuple((key, value) for key, value in labels)
    if more:
        more[2] = tuple(EarlierRecord(*one) for one in more[2])
    return Request(operation, tuple(ImageRef(*one) for one in images), labels, *more)
