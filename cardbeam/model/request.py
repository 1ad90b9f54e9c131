"""Images and requests, as they travel through the graph."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

Labels = tuple[tuple[str, str], ...]

_ID_BYTES = 16
_PLACE_DIGITS = 16


def _digest(*parts: str | bytes) -> str:
    """A 128-bit id of some parts."""
    return _id_of(b"".join(map(_framed, parts)))


def _framed(part: str | bytes) -> bytes:
    """A part with its length before it, so that no two lists of parts run together."""
    raw = part.encode() if isinstance(part, str) else part
    return len(raw).to_bytes(8, "big") + raw


def _id_of(framed: bytes) -> str:
    return hashlib.sha256(framed).digest()[:_ID_BYTES].hex()


_PLACE, _SOURCE = _framed("place"), _framed("source")


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Where an image is, and what tells without opening it that it is still the same."""

    uri: str
    size_bytes: int | None = None
    version: str | None = None
    """The store's etag, or the time of the last change."""
    modified_s: float | None = field(default=None, compare=False)
    """When it was last changed, in seconds since 1970, where a listing or a look told it."""


class EarlierRecord(NamedTuple):
    """What a record of an earlier run says of a request: the key columns of its row in the ledger."""

    run_id: str
    item_id: str
    source_id: str | None
    outcome: str
    retriable: bool
    code: str | None
    input_id: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """One call to make: an operation on one or two images (front, back)."""

    operation: str
    images: tuple[ImageRef, ...]
    labels: Labels = ()
    may_retry: bool = False
    """Whether this run gives it out again if it fails for now, so that it is no dead letter yet."""
    failed_before: str = ""
    """The code of its last failure of its own, where this watch sends it again."""
    earlier: tuple[EarlierRecord, ...] = ()
    """Records of earlier runs about the same URI, as the index on disk holds them."""

    @property
    def uris(self) -> tuple[str, ...]:
        """The URIs of its images, front first."""
        return tuple(image.uri for image in self.images)

    @property
    def source_id(self) -> str | None:
        """What is known of the request without opening an image; None where a version is unknown.

        Its first half tells where the images are, the same for all versions: see `place_of`.
        """
        places, sources = _framed(self.operation), _framed(self.operation)
        for image in self.images:
            if image.version is None:
                return None
            uri = _framed(image.uri)
            places += uri
            sources += uri + _framed(str(image.size_bytes)) + _framed(image.version)
        return _id_of(_PLACE + places)[:_PLACE_DIGITS] + _id_of(_SOURCE + sources)[_PLACE_DIGITS:]

    @property
    def fallback_id(self) -> str:
        """A key for requests that are told apart by their source alone."""
        return self.source_id or _digest("uris", self.operation, *self.uris)

    def input_id(self, item_id: str) -> str | None:
        """The key of this input, where the source id does not identify it."""
        return input_id_of(self.source_id, item_id, self.uris, self.labels)


def source_ids(operation: str, images: Iterable[tuple[str, int, str]]) -> list[str]:
    """The source ids of requests of one image each, by URI, size and version: the short way for millions."""
    sha256, place_digits = hashlib.sha256, 2 * _ID_BYTES - _PLACE_DIGITS
    place, source, ids = _PLACE + _framed(operation), _SOURCE + _framed(operation), []
    for uri, size_bytes, version in images:
        raw, size, etag = uri.encode(), b"%d" % size_bytes, version.encode()
        framed = len(raw).to_bytes(8, "big") + raw
        framed_version = len(size).to_bytes(8, "big") + size + len(etag).to_bytes(8, "big") + etag
        first = sha256(place + framed).hexdigest()[:_PLACE_DIGITS]
        ids.append(
            first + sha256(source + framed + framed_version).hexdigest()[_PLACE_DIGITS : _PLACE_DIGITS + place_digits]
        )
    return ids


def place_of(source_id: str) -> str:
    """The half of a source id that tells operation and URIs, so that versions of one image are neighbours in an index.

    Of 16 million places, two share one with a chance of 1 in 140,000; each would then be recorded again in every run.
    """
    return source_id[:_PLACE_DIGITS]


def item_id_of(operation: str, contents: Sequence[bytes]) -> str:
    """The key of a request: 128 bits, hex, over the operation and its images' bytes in order."""
    return _digest("content", operation, *(hashlib.sha256(content).digest() for content in contents))


def input_id_of(
    source_id: str | None, item_id: str, uris: Sequence[str], labels: Sequence[Sequence[str]]
) -> str | None:
    """The key of an input that its source id does not identify: one with labels, or of an unknown version.

    None where the source id is enough. The order of the labels does not matter.
    """
    if source_id is not None and not labels:
        return None
    place = ("", item_id, *uris) if source_id is None else (source_id,)
    return _digest("input", str(len(place)), *place, *chain.from_iterable(sorted(map(tuple, labels))))
