"""Inputs -> Requests: globs, folders and manifests, listed as a stream; no picture is opened."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

import apache_beam as beam

from schemas.contract import OPERATIONS
from transforms.elements import Request
from transforms.manifests import is_manifest, read_manifest
from transforms.pairs import compile_sides, pair_sides
from transforms.settings import InputSettings
from transforms.sources import SourceError, describe, list_pictures
from transforms.uris import local_path

_LOOKS_AT_ONCE = 64
_ONE_SIDED = "ekyc/card"


class FindCards(beam.PTransform):
    """Inputs -> Requests."""

    def __init__(self, settings: InputSettings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, inputs: beam.PCollection[str]) -> beam.PCollection[Request]:
        """List each input."""
        return inputs | "List" >> beam.FlatMap(find, self._settings).with_output_types(Request)


def find(source: str, settings: InputSettings) -> Iterator[Request]:
    """Every request that one input asks for, with what is known of its pictures without opening them.

    Raises:
        SourceError: the input cannot be listed or read.
    """
    requests = _requests(source, settings)
    return _described(requests) if is_manifest(source) else requests


def _requests(source: str, settings: InputSettings) -> Iterator[Request]:
    sides = len(OPERATIONS[settings.operation].picture_params)
    if is_manifest(source):
        found = read_manifest(source, settings.operation, sides)
    elif sides == 1:
        found = (Request(settings.operation, (picture,)) for picture in list_pictures(source))
    else:
        pairs = pair_sides(list_pictures(source), compile_sides(settings.sides))
        found = (Request(settings.operation, pair) for pair in pairs)
    if settings.lone_sides != _ONE_SIDED:
        return found
    return (replace(one, operation=_ONE_SIDED) if len(one.pictures) < sides else one for one in found)


def _described(requests: Iterable[Request]) -> Iterator[Request]:
    """Look at the pictures, many at a time where each look is a request to a store; in order."""
    with ThreadPoolExecutor(_LOOKS_AT_ONCE, thread_name_prefix="look") as executor:
        looks: deque[Future[Request]] = deque()
        for request in requests:
            if all(local_path(uri) is not None for uri in request.uris) and not looks:
                yield _look(request)
                continue
            looks.append(executor.submit(_look, request))
            if len(looks) > 2 * _LOOKS_AT_ONCE:
                yield looks.popleft().result()
        while looks:
            yield looks.popleft().result()


def _look(request: Request) -> Request:
    return replace(request, pictures=tuple(map(describe, request.uris)))


def check_inputs(settings: InputSettings) -> None:
    """Look at each input once before the graph is built: every manifest whole, every glob for one file.

    Raises:
        SourceError: an input cannot be listed or read, or holds nothing.
    """
    for source in settings.input:
        found = _requests(source, settings)
        count = sum(1 for _ in (found if is_manifest(source) else islice(found, 1)))
        if not count:
            raise SourceError(f"--input {source} holds no picture")
