"""What a watch has given out and no record settles yet: the state it keeps, bounded by what is under way.

What is settled is in the ledger and the journal, so nothing else is remembered. The file is
written before a batch is given out: whoever goes on after a crash gives out what it still
names, whether or not the listing shows it then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson

from cardbeam.journal.follower import Known
from cardbeam.model.grouping import key_of
from cardbeam.model.request import Picture, Request
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.state_file import decode_json, is_of

OPEN_FILE = "open.json"
_KINDS = {
    "number": int,
    "operation": str,
    "pictures": list[tuple[str, int | None, str | None]],
    "labels": list[tuple[str, str]],
}
"""Of each field of a request in the file."""
Uris = tuple[str, ...]
Group = tuple[str, tuple[Request, ...]]


@dataclass(frozen=True, slots=True)
class Given:
    """A request, and the number of the batch it was given out with."""

    number: int
    request: Request
    seen_at: int = 0
    """When the last record of it was made that is older than this, µs since 1970; 0 where there is none."""


class HandedOut:
    """Requests that are given out and not settled, by the URIs of their pictures."""

    def __init__(self, given: Iterable[Given] = (), *, by_source: bool = False) -> None:
        self.by_source = by_source
        self._given: dict[Uris, Given] = {}
        self._keys: Counter[str] = Counter()
        for one in given:
            self.add(one.number, [one.request], {one.request.uris: one.seen_at}.__getitem__)

    def __len__(self) -> int:
        return len(self._given)

    def __iter__(self) -> Iterator[Given]:
        return iter(list(self._given.values()))

    def add(self, number: int, requests: Iterable[Request], seen_at: Callable[[Uris], int] = lambda _: 0) -> None:
        """Give out; one that is given out again gets the later number."""
        for request in requests:
            if request.uris not in self._given:
                self._keys[self.key_of(request)] += 1
            self._given[request.uris] = Given(number, request, seen_at(request.uris))

    def settle(self, known: Known) -> Request | None:
        """A record ends it: by its URIs, for the picture may have changed before it was read.

        What may be told once more ends no other version: it may be of the one before, and the next be under way.
        """
        given = self._given.get(known.uris)
        if given is None or (known.may_be_old and known.source_id != given.request.source_id):
            return None
        self._forget(given)
        return given.request

    def drop_another(self, settled: Request) -> None:
        """What is there now is settled: another version of it is over, whose record was missed or tells of this one."""
        given = self._given.get(settled.uris)
        if given is not None and given.request.source_id != settled.source_id:
            self._forget(given)

    def _forget(self, given: Given) -> None:
        del self._given[given.request.uris]
        key = self.key_of(given.request)
        self._keys[key] -= 1
        if not self._keys[key]:
            del self._keys[key]

    def has(self, request: Request) -> bool:
        """Whether it is given out, in this version or another: the next one waits its turn."""
        return request.uris in self._given

    def may_be_copied(self, request: Request) -> bool:
        """Whether a likely copy of it is under way: it waits until that one is settled, and is then known."""
        return self.key_of(request) in self._keys

    def key_of(self, request: Request) -> str:
        """What likely copies share."""
        return key_of(request, by_source=self.by_source)

    def groups(self, requests: Iterable[Request]) -> list[Group]:
        """Requests by what likely copies share."""
        groups: dict[str, list[Request]] = {}
        for request in requests:
            groups.setdefault(self.key_of(request), []).append(request)
        return [(key, tuple(group)) for key, group in groups.items()]


def to_give(waiting: Iterable[Request], handed: HandedOut, room: int) -> list[Request]:
    """The next requests, as many as there is room for; those that may be copies of what is under way wait."""
    free = (one for one in waiting if not handed.has(one) and not handed.may_be_copied(one))
    return list(islice(free, max(0, room)))


def new_requests(
    listed: Iterable[Request],
    handed: HandedOut,
    is_settled: Callable[[Request], bool],
    is_whole: Callable[[Request], bool],
) -> Iterator[Request]:
    """Of what a listing shows, what is neither settled nor given out, once each, and whole by now."""
    seen: set[Uris] = set()
    for request in listed:
        if request.uris not in seen and not handed.has(request) and not is_settled(request) and is_whole(request):
            seen.add(request.uris)
            yield request


def encode(handed: Iterable[Given]) -> bytes:
    """The file: URIs and versions, nothing that was read."""
    return orjson.dumps(
        [
            {
                "number": one.number,
                "operation": one.request.operation,
                "pictures": [(picture.uri, picture.size_bytes, picture.version) for picture in one.request.pictures],
                "labels": one.request.labels,
                "seen_at": one.seen_at,
            }
            for one in handed
        ]
    )


def decode(content: bytes, path: str = OPEN_FILE) -> list[Given]:
    """What the file names.

    Raises:
        DamagedFile: it is not whole.
    """
    held = decode_json(path, content, list[dict[str, Any]])
    if not all(is_of(one.get(name), kind) for one in held for name, kind in _KINDS.items()):
        raise DamagedFile.of(path, "names a request that is none")
    return [Given(one["number"], _request(one), one.get("seen_at", 0)) for one in held]


def _request(one: dict[str, Any]) -> Request:
    pictures = tuple(Picture(*picture) for picture in one["pictures"])
    return Request(one["operation"], pictures, tuple((key, value) for key, value in one["labels"]))
