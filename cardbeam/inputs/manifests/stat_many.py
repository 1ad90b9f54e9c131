"""Requests of a manifest -> the same Requests with what one stat of each image tells: size and version.

A look is a request to a store (HEAD), 64 at a time. Where the images of many lines lie close
together, a listing tells of a thousand in one: it is followed for as long as its pages name enough of them.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from os.path import commonprefix

from cardbeam.inputs.image_source import describe
from cardbeam.model.request import ImageRef, Request
from cardbeam.storage.filesystems.bucket_objects import as_image_ref
from cardbeam.storage.filesystems.lookup import filesystem_for
from cardbeam.storage.object_store import BUCKET_SCHEMES, Listed, list_objects, object_at

_STATS_IN_PARALLEL = 64
_WINDOW_LINES = 20_000
"""Of which the listings are tried; raising it finds more neighbours in manifests without order, and takes memory."""
_PAGE = 1000
_WORTH_A_PAGE = 200
"""Images that a page of a listing must name: so many looks, 64 at a time, take as long as the page."""
_LISTED_FROM_ANYWHERE = frozenset(BUCKET_SCHEMES) - {"az", "azure", "abfs", "abfss"}
"""Azure begins each listing at the front."""

_KnownImages = Mapping[str, ImageRef]


def stat_many(requests: Iterable[Request]) -> Iterator[Request]:
    """Stat the images of each request whose version is not known yet, in order.

    Raises:
        SourceError: a bucket cannot be reached.
    """
    lines = iter(requests)
    with ThreadPoolExecutor(_STATS_IN_PARALLEL, thread_name_prefix="look") as executor:
        while window := list(islice(lines, _WINDOW_LINES)):
            yield from _stat_window(window, _find_in_listings(window), executor)


def _stat_window(window: Sequence[Request], known: _KnownImages, executor: ThreadPoolExecutor) -> Iterator[Request]:
    stats: deque[Future[Request]] = deque()
    for request in window:
        if not stats and all(_is_told(image, known) or filesystem_for(image.uri).is_local for image in request.images):
            yield _stat_request(request, known)
            continue
        stats.append(executor.submit(_stat_request, request, known))
        if len(stats) > 2 * _STATS_IN_PARALLEL:
            yield stats.popleft().result()
    while stats:
        yield stats.popleft().result()


def _is_told(image: ImageRef, known: _KnownImages) -> bool:
    return image.version is not None or image.uri in known


def _stat_request(request: Request, known: _KnownImages) -> Request:
    if all(image.version is not None for image in request.images):
        return request
    return replace(request, images=tuple(_stat(image, known) for image in request.images))


def _stat(image: ImageRef, known: _KnownImages) -> ImageRef:
    return image if image.version is not None else known.get(image.uri) or describe(image.uri)


def _find_in_listings(window: Iterable[Request]) -> _KnownImages:
    """The images that listings tell of at less cost than looks; of the others nothing is said."""
    keys: dict[str, set[str]] = defaultdict(set)
    for uri in (image.uri for request in window for image in request.images if image.version is None):
        if uri.partition("://")[0] in _LISTED_FROM_ANYWHERE:
            place = object_at(uri)
            keys[place.bucket].add(place.key)
    dense = {bucket: of_bucket for bucket, of_bucket in keys.items() if len(of_bucket) >= _WORTH_A_PAGE}
    found = (listed for bucket, of_bucket in dense.items() for listed in _list_along(bucket, of_bucket))
    return {listed.uri: as_image_ref(listed) for listed in found}


def _list_along(bucket: str, keys: set[str]) -> Iterator[Listed]:
    """Those of the keys that a listing names, from the first one on, until a page is not worth it."""
    first, last = min(keys), max(keys)
    folder = commonprefix((first, last)).rpartition("/")[0]  # noqa: RUF071  # cut back to a whole step
    uris = {f"{bucket}/{key}" for key in keys}
    hits = len(keys)
    try:
        for number, listed in enumerate(list_objects(f"{bucket}/{folder}", first[:-1] or None)):
            if number % _PAGE == 0:
                if hits < _WORTH_A_PAGE:
                    return
                hits = 0
            if listed.uri > f"{bucket}/{last}":
                return
            if listed.uri in uris:
                hits += 1
                yield listed
    except OSError:  # looking at each one is another right, and tells what is wrong
        return
