"""Lists the folders of a bucket in parallel, and gives their objects in the order of keys, as one listing would.

A store lists page by page, each begun where the one before ended. Folders can be listed beside each other; what is
ahead of the one whose turn it is waits in memory, a few pages each.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from queue import Full, Queue

from cardbeam.storage.object_store import Listed, list_level, list_pages, object_at

_AT_ONCE = 32
_PAGES_AHEAD = 4
"""Of a folder, some 300 kB each: 40 MB in all, at the most."""
_LEVELS = 8
_POLL_S = 0.2
_Pages = Iterator[list[Listed]]


def list_in_parallel(uri: str, after: str | None = None) -> Iterator[Listed]:
    """Every object below a URI once, in the order of keys where the store lists so; `after` is a key to start behind.

    The folders are listed whole, and what the first pages gave is left out: not every store begins behind a key, or
    lists in the order of keys.

    Raises:
        OSError: the bucket cannot be listed.
    """
    pages = list_pages(uri, after)
    first = next(pages, None)
    if first is None:
        return
    yield from first
    second = next(pages, None)  # with one page alone nothing is won
    if second is None:
        return
    yield from second
    bucket, given = object_at(uri).bucket, {one.uri for one in chain(first, second)}
    folders = _folders(uri, bucket, second)
    rest = pages if folders is None else _beside_each_other(bucket, folders, after)
    yield from (one for one in chain.from_iterable(rest) if one.uri not in given)


def _folders(uri: str, bucket: str, page: list[Listed]) -> list[str | Listed] | None:
    """Folders below a URI, and objects between them, in the order of keys; None where all lie in one folder.

    Objects right below are held in memory, so nothing is asked where a page shows that there are many of them.
    """
    for _ in range(_LEVELS):
        below = f"{uri.rstrip('/')}/"
        if any("/" not in one.uri.removeprefix(below) for one in page):
            return None
        prefixes, objects = list_level(uri)
        if len(prefixes) > 1 or objects or not prefixes:
            found: list[str | Listed] = [*prefixes, *objects]
            return sorted(found, key=lambda one: _key_of(one, bucket)) if len(prefixes) > 1 else None
        uri = f"{bucket}/{prefixes[0]}"
    return None


def _key_of(one: str | Listed, bucket: str) -> str:
    return f"{one}/" if isinstance(one, str) else one.uri.removeprefix(f"{bucket}/")


def _beside_each_other(bucket: str, units: list[str | Listed], after: str | None) -> _Pages:
    """The pages of all folders behind a key, and the objects between them."""
    left = [one for one in units if not _is_before(_key_of(one, bucket), after or "", is_folder=isinstance(one, str))]
    with _Ahead() as ahead:
        coming = [ahead.start(f"{bucket}/{one}", after) if isinstance(one, str) else iter([[one]]) for one in left]
        for pages in coming:
            yield from pages


def _is_before(key: str, after: str, *, is_folder: bool) -> bool:
    """Whether nothing of a folder, or no object, is behind a key."""
    return key <= after and not (is_folder and after.startswith(key))


class _Ahead:
    """Threads that list folders, in the order in which they are started."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="list")
        self._closed = threading.Event()

    def __enter__(self) -> _Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def start(self, uri: str, after: str | None) -> _Pages:
        """List a folder from behind a key on; its pages as they come."""
        queue: Queue[list[Listed]] = Queue(_PAGES_AHEAD)
        return _coming(queue, self._executor.submit(self._list, uri, after, queue))

    def _list(self, uri: str, after: str | None, queue: Queue[list[Listed]]) -> None:
        try:
            for page in list_pages(uri, after):
                if not self._put(queue, page):
                    return
        finally:
            self._put(queue, [])

    def _put(self, queue: Queue[list[Listed]], page: list[Listed]) -> bool:
        """Wait for room; whether anybody still wants it."""
        while not self._closed.is_set():
            with suppress(Full):
                queue.put(page, timeout=_POLL_S)
                return True
        return False


def _coming(queue: Queue[list[Listed]], listing: Future[None]) -> _Pages:
    """The pages of a folder until the empty one, which is the end; the store's timeouts bound each wait."""
    while page := queue.get():
        yield page
    listing.result()
