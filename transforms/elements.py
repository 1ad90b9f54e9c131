"""The nouns that travel through the graph.

Shuffled elements hold URIs and references, never picture bytes. `Settled` alone holds an
answer, and goes to the journal only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain

Labels = tuple[tuple[str, str], ...]

_ID_BYTES = 16


def _digest(*parts: str | bytes) -> str:
    """A 128-bit id of some parts; their lengths are hashed too, so no two lists run together."""
    hasher = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        hasher.update(len(raw).to_bytes(8, "big"))
        hasher.update(raw)
    return hasher.digest()[:_ID_BYTES].hex()


@dataclass(frozen=True, slots=True)
class Picture:
    """Where a picture is, and what tells without opening it that it is still the same."""

    uri: str
    size_bytes: int | None = None
    version: str | None = None
    """The store's etag, or the time of the last change."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call to make: an operation on one or two pictures (front, back)."""

    operation: str
    pictures: tuple[Picture, ...]
    labels: Labels = ()
    may_retry: bool = False
    """Whether this run gives it out again if it fails for now, so that it is no dead letter yet."""
    failed_before: str = ""
    """The code of its last failure of its own, where this watch sends it again."""

    @property
    def uris(self) -> tuple[str, ...]:
        """The URIs of its pictures, front first."""
        return tuple(picture.uri for picture in self.pictures)

    @property
    def source_id(self) -> str | None:
        """What is known of the request without opening a picture; None where a version is unknown."""
        parts = [self.operation]
        for picture in self.pictures:
            if picture.version is None:
                return None
            parts += [picture.uri, str(picture.size_bytes), picture.version]
        return _digest("source", *parts)

    @property
    def fallback_id(self) -> str:
        """A key for requests that are told apart by their source alone."""
        return self.source_id or _digest("uris", self.operation, *self.uris)


def item_id_of(operation: str, contents: Sequence[bytes]) -> str:
    """The key of a request: 128 bits, hex, over the operation and its pictures' bytes in order."""
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


class SettledAs(str, Enum):
    """How the journal and the ledger say that an input was settled."""

    ANSWERED = "answered"
    DEAD = "dead"
    COPY = "copy"
    RETRY = "retry"
    """It failed for now, and this run tries it again: not settled yet."""
    DEFERRED = "deferred"
    """Its calls were made, or not, in an outage or a run that stopped: not settled, and no failure of its own."""


LEFT = frozenset({SettledAs.RETRY.value, SettledAs.DEFERRED.value})
"""Records that settle nothing: the request is sent again."""


@dataclass(frozen=True, slots=True)
class Settled:
    """One settled input: a row of the ledger, a record of the journal. Times are µs since 1970, UTC."""

    item_id: str
    source_id: str | None
    outcome: str
    operation: str
    uris: tuple[str, ...]
    labels: Labels
    first_at: int
    last_at: int
    stage: str | None = None
    code: str | None = None
    message: str | None = None
    http_status: int | None = None
    attempts: int = 0
    retriable: bool = False
    latency_s: float | None = None
    picture_bytes: int | None = None
    reply: bytes | None = None

    @property
    def input_id(self) -> str | None:
        """The key of the input, where the source id does not identify it."""
        return input_id_of(self.source_id, self.item_id, self.uris, self.labels)


FOUND = "found"
Counted = tuple[str, int]
"""Requests that were found, or that met a fate, and how many."""


class Fate(str, Enum):
    """Where a found input ended in this run; the receipt's terms."""

    ANSWERED_BEFORE = "answered_before"
    DUPLICATE = "duplicates"
    ANSWERED = "answered"
    DEAD = "dead"
    DEFERRED = "deferred"


@dataclass(frozen=True, slots=True)
class Ending:
    """What came of one found input, without anything that was read from it."""

    fate: Fate
    attempts: int = 0
    latency_s: float | None = None
    waited_s: float = 0.0
    """What it waited for the quota."""
    throttled_s: float = 0.0
    """Of this, what it waited as the first in its process: over all endings, how long the quota held the process."""
    queued_s: float = 0.0
    """What it waited, ready to be sent, because as many calls as may be were under way."""
    failed_for_now: bool = False
    """Of what is deferred: whether it failed, and this run tries it again."""


@dataclass(frozen=True, slots=True)
class Span:
    """Records of one journal segment, from byte `start` to byte `end`."""

    path: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Part:
    """Records that are read and written together: one ledger file, and the rows it gives each table.

    A new part names the journal `spans` it comes from; one without is a ledger file that is there.
    Rows are counted over all records of the spans, or of the file. `repeated` are in the ledger
    already; `superseded` are replaced in the tables by another record of the same request.
    """

    run_id: str
    name: str
    spans: tuple[Span, ...] = ()
    repeated: frozenset[int] = frozenset()
    superseded: frozenset[int] = frozenset()
    copies: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Item ids with the URIs of a copy, one entry a copy."""
    records: int | None = None
    """Rows of its spans or of its file, as they were planned."""


@dataclass(frozen=True, slots=True)
class PartCounts:
    """What a part holds, for the receipt."""

    run_id: str
    spans: tuple[Span, ...]
    answered: int = 0
    dead: int = 0
    without_row: int = 0
    """Answers that gave no document: their requests count as dead."""
    calls_sent: int = 0
    calls_retried: int = 0
    dead_letters: tuple[tuple[str, int], ...] = ()
    calls_by_second: tuple[tuple[int, int], ...] = ()
    first_call_s: float | None = None
    last_call_s: float | None = None
    """When the first call began and the last was answered, seconds since 1970."""
    damaged: tuple[tuple[str, int], ...] = ()
    """Segments of the journal that are damaged within its spans, and how many of their records are lost."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One file of the output."""

    run_id: str
    table: str
    path: str
    rows: int
    size_bytes: int
