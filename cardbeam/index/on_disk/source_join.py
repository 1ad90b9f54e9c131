"""Requests ⋈ index on disk, by the URI of their first image, a window of requests at a time.

Where requests come in the order of their URIs, as a listing of a bucket gives them, each row group of the index is read
once: the join of two sorted streams. Requests in any other order (a manifest, a folder with millions of files) are
sorted first, on this machine's disk, for each of their windows would read most of the index.
"""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from operator import itemgetter
from typing import BinaryIO, cast

from cardbeam.index.history import history_of, is_known
from cardbeam.index.on_disk.stored_index import SourceRows, StoredIndex
from cardbeam.index.processed_index import ProcessedIndex
from cardbeam.model.request import ImageRef, Request, place_of, source_ids
from cardbeam.model.request_codec import decode, encode

_WINDOW = 8192
_SPREAD = 64.0
"""Rows that are read for one request, from which on sorting all of them is cheaper."""
_RUN_BYTES = 32 * 1024 * 1024
"""Of requests that are sorted in memory at once."""


class SourceJoin:
    """Takes requests, gives those that are not known, each with what earlier runs recorded of it; counts the others.

    Close it with `rest`: what was put off is joined then.
    """

    def __init__(self, index: ProcessedIndex, *, window: int = _WINDOW, spread: float = _SPREAD) -> None:
        self._index, self._stored = index, index.stored
        self._size, self._max_spread = window, spread
        self._window: list[Request] = []
        self._put_off: Spilled | None = None
        self.known = 0

    def add(self, request: Request) -> Iterator[Request]:
        """Take one; those that are new of a window that is full."""
        if self._stored is None:
            yield from self._unless_known(request)
            return
        self._window.append(request)
        if len(self._window) >= self._size:
            window, self._window = self._window, []
            if self._put_off is not None or self._stored.spread_of(window) > self._max_spread:
                self._put_off = self._put_off or Spilled()
                self._put_off.add(window)
            else:
                yield from self._join(window, self._stored)

    def add_images(self, operation: str, images: Sequence[tuple[str, int, str]]) -> Iterator[Request]:
        """Take a window of requests of one image each, without labels, by URI, size and version.

        Those that are plainly known, nearly all of a listing, never become objects.
        """
        if self._stored is None or self._index.holds_any or self._put_off is not None:
            left: Iterable[tuple[str, int, str]] = images
        else:
            keys = [uri for uri, _, _ in images]
            rows = self._stored.sources_at(sorted(set(keys)), is_replay=self._index.is_replay)
            ids = source_ids(operation, images)
            left = [one for one, found in zip(images, ids, strict=True) if rows.newest.get(place_of(found)) != found]
            self.known += len(images) - len(left)
        for image in left:
            yield from self.add(Request(operation, (ImageRef(*image),)))

    def rest(self) -> Iterator[Request]:
        """Those that are new of all that was not joined yet."""
        window, self._window = self._window, []
        if self._stored is None:
            return
        if self._put_off is None:
            yield from self._join(window, self._stored)
            return
        with self._put_off as put_off:
            self._put_off = None
            put_off.add(window)
            requests = put_off.in_order()
            while window := list(islice(requests, self._size)):
                yield from self._join(window, self._stored)

    def _join(self, window: Sequence[Request], stored: StoredIndex) -> Iterator[Request]:
        rows = stored.sources_of(window, is_replay=self._index.is_replay)
        slow = [one for one in window if not self._is_plainly_known(one, rows)]
        self.known += len(window) - len(slow)
        for request in with_records(slow, rows):
            yield from self._unless_known(request)

    def _is_plainly_known(self, request: Request, rows: SourceRows) -> bool:
        """Whether it is the newest version where it is, with a final result and its labels, and nothing else is known:
        nearly all requests of a listing are so."""
        source_id = request.source_id
        if source_id is None or rows.newest.get(place_of(source_id)) != source_id:
            return False
        if self._index.holds_any and self._index.newest_at(source_id):
            return False
        return not request.labels or request.input_id("") in rows.inputs

    def _unless_known(self, request: Request) -> Iterator[Request]:
        if is_known(request, history_of(self._index, request)):
            self.known += 1
        else:
            yield request


def with_records(requests: Sequence[Request], rows: SourceRows) -> Iterator[Request]:
    """Requests with the records that the index holds about their URIs."""
    records = rows.records_of([request.images[0].uri for request in requests])
    for request in requests:
        found = records.get(request.images[0].uri)
        yield replace(request, earlier=tuple(found)) if found else request


def looked_up(requests: Iterable[Request], index: ProcessedIndex) -> list[Request]:
    """Some requests with the records that the index on disk holds about their URIs."""
    found = list(requests)
    if index.stored is None or not found:
        return found
    return list(with_records(found, index.stored.sources_of(found)))


class Spilled:
    """Requests that are sorted on disk, in a file without a name."""

    def __init__(self, run_bytes: int = _RUN_BYTES) -> None:
        self._file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115  # closed by `__exit__`
        self._run_bytes, self._bytes = run_bytes, 0
        self._waiting: list[tuple[str, bytes]] = []
        self._runs: list[tuple[int, int]] = []

    def __enter__(self) -> Spilled:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, requests: Iterable[Request]) -> None:
        """Take some."""
        for request in requests:
            encoded = encode(request)
            self._waiting.append((request.images[0].uri, encoded))
            self._bytes += len(encoded)
        if self._bytes >= self._run_bytes:
            self._spill()

    def in_order(self) -> Iterator[Request]:
        """All requests in the order of the URIs of their first images."""
        self._waiting.sort(key=itemgetter(0))
        runs = [_keyed(self._lines(start, end)) for start, end in self._runs]
        last = ((uri, decode(encoded)) for uri, encoded in self._waiting)
        return map(itemgetter(1), heapq.merge(*runs, last, key=itemgetter(0)))

    def _spill(self) -> None:
        self._waiting.sort(key=itemgetter(0))
        start = self._file.seek(0, 2)
        self._file.writelines(encoded for _, encoded in self._waiting)
        self._runs.append((start, self._file.tell()))
        self._waiting, self._bytes = [], 0

    def _lines(self, start: int, end: int) -> Iterator[bytes]:
        """Lines of a run; the file is shared by all runs, so each reads a piece at a time."""
        rest = b""
        while start < end:
            self._file.seek(start)
            piece = self._file.read(min(256 * 1024, end - start))
            start += len(piece)
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines


def _keyed(lines: Iterable[bytes]) -> Iterator[tuple[str, Request]]:
    for request in map(decode, lines):
        yield request.images[0].uri, request
