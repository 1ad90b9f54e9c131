"""What a watch has dispatched and no record processes yet: the state it keeps, bounded by what is in flight.

What is processed is in the ledger and the journal, so nothing else is remembered. The file is
written before a batch is dispatched: whoever goes on after a crash dispatches what it still
names, whether or not the listing shows it then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson

from cardbeam.journal.follower import RecordKey
from cardbeam.model.grouping import key_of
from cardbeam.model.request import ImageRef, Request
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.state_file import decode_json, is_of

PENDING_FILE = "pending.json"
_KINDS = {
    "number": int,
    "operation": str,
    "images": list[tuple[str, int | None, str | None]],
    "labels": list[tuple[str, str]],
}
"""Of each field of a request in the file."""
Uris = tuple[str, ...]
Group = tuple[str, tuple[Request, ...]]


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A request, and the number of the batch it was dispatched with."""

    number: int
    request: Request
    seen_at: int = 0
    """When the last record of it was made that is older than this, µs since 1970; 0 where there is none."""


class PendingRequests:
    """Requests that are dispatched and not processed, by the URIs of their images."""

    def __init__(self, given: Iterable[PendingRequest] = (), *, by_source: bool = False) -> None:
        self.by_source = by_source
        self._requests: dict[Uris, PendingRequest] = {}
        self._keys: Counter[str] = Counter()
        for one in given:
            self.add(one.number, [one.request], {one.request.uris: one.seen_at}.__getitem__)

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[PendingRequest]:
        return iter(list(self._requests.values()))

    def add(self, number: int, requests: Iterable[Request], seen_at: Callable[[Uris], int] = lambda _: 0) -> None:
        """dispatches; one that is dispatched again gets the later number."""
        for request in requests:
            if request.uris not in self._requests:
                self._keys[self.key_of(request)] += 1
            self._requests[request.uris] = PendingRequest(number, request, seen_at(request.uris))

    def complete(self, key: RecordKey) -> Request | None:
        """A record ends it: by its URIs, for the image may have changed before it was read.

        What may be told again ends no other version: it may be of the one before, and the next be in flight.
        """
        given = self._requests.get(key.uris) if key.uris else self._of_source(key.source_id)
        if given is None or (key.may_be_old and key.source_id != given.request.source_id):
            return None
        self._forget(given)
        return given.request

    def _of_source(self, source_id: str | None) -> PendingRequest | None:
        """The record of an erased image names no URI. There are few, and what is pending is bounded."""
        same = (one for one in self._requests.values() if one.request.source_id == source_id)
        return None if source_id is None else next(same, None)

    def drop_outdated(self, processed: Request) -> None:
        """What is there now is processed: another version of it is over, whose record was missed or tells of this
        one."""
        given = self._requests.get(processed.uris)
        if given is not None and given.request.source_id != processed.source_id:
            self._forget(given)

    def _forget(self, given: PendingRequest) -> None:
        del self._requests[given.request.uris]
        key = self.key_of(given.request)
        self._keys[key] -= 1
        if not self._keys[key]:
            del self._keys[key]

    def has(self, request: Request) -> bool:
        """Whether it is dispatched, in this version or another: the next one waits its turn."""
        return request.uris in self._requests

    def has_likely_duplicate(self, request: Request) -> bool:
        """Whether a likely duplicate of it is in flight: it waits until that one is processed, and is then known."""
        return self.key_of(request) in self._keys

    def key_of(self, request: Request) -> str:
        """What likely duplicates share."""
        return key_of(request, by_source=self.by_source)

    def groups(self, requests: Iterable[Request]) -> list[Group]:
        """Requests by what likely duplicates share."""
        groups: dict[str, list[Request]] = {}
        for request in requests:
            groups.setdefault(self.key_of(request), []).append(request)
        return [(key, tuple(group)) for key, group in groups.items()]


def next_batch(waiting: Iterable[Request], pending: PendingRequests, max_requests: int) -> list[Request]:
    """The next requests, as many as there is room for; those that may be duplicates of what is in flight wait."""
    free = (one for one in waiting if not pending.has(one) and not pending.has_likely_duplicate(one))
    return list(islice(free, max(0, max_requests)))


def new_requests(
    listed: Iterable[Request],
    pending: PendingRequests,
    is_processed: Callable[[Request], bool],
    is_whole: Callable[[Request], bool],
) -> Iterator[Request]:
    """Of what a listing shows, what is neither processed nor dispatched, once each, and whole by now."""
    seen: set[Uris] = set()
    for request in listed:
        if request.uris not in seen and not pending.has(request) and not is_processed(request) and is_whole(request):
            seen.add(request.uris)
            yield request


def encode(pending: Iterable[PendingRequest]) -> bytes:
    """The file: URIs and versions, nothing that was read."""
    return orjson.dumps(
        [
            {
                "number": one.number,
                "operation": one.request.operation,
                "images": [(image.uri, image.size_bytes, image.version) for image in one.request.images],
                "labels": one.request.labels,
                "seen_at": one.seen_at,
            }
            for one in pending
        ]
    )


def decode(content: bytes, path: str = PENDING_FILE) -> list[PendingRequest]:
    """What the file names.

    Raises:
        DamagedFile: it is not whole.
    """
    held = decode_json(path, content, list[dict[str, Any]])
    if not all(is_of(one.get(name), kind) for one in held for name, kind in _KINDS.items()):
        raise DamagedFile.of(path, "names a request that is none")
    return [PendingRequest(one["number"], _request(one), one.get("seen_at", 0)) for one in held]


def _request(one: dict[str, Any]) -> Request:
    images = tuple(ImageRef(*image) for image in one["images"])
    return Request(one["operation"], images, tuple((key, value) for key, value in one["labels"]))
