"""Inputs -> Requests: globs, folders and manifests, listed as a stream; no picture is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from schemas.contract import OPERATIONS
from transforms.elements import FOUND, Counted, Request
from transforms.looks import look_at_all
from transforms.manifests import is_manifest, read_manifest, unknown_list
from transforms.pairs import compile_sides, pair_sides
from transforms.settings import InputSettings
from transforms.sources import SourceError, list_pictures

_ONE_SIDED = "ekyc/card"


_COUNTED = "counted"


class Found(NamedTuple):
    """The requests, and how many each input gave."""

    requests: beam.PCollection[Request]
    counted: beam.PCollection[Counted]


class FindCards(beam.PTransform):
    """Inputs -> Found."""

    def __init__(self, settings: InputSettings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, inputs: beam.PCollection[str]) -> Found:
        """List each input."""
        return list_and_count(inputs, partial(find, settings=self._settings))


def list_and_count(sources: beam.PCollection[Any], give: Callable[[Any], Iterator[Request]]) -> Found:
    """All that each source gives. The count is one element a source, not one a request: there are millions."""
    listed = sources | "List" >> beam.ParDo(_ListFn(give)).with_outputs(_COUNTED, main="requests")
    return Found(listed.requests, listed[_COUNTED])


class _ListFn(beam.DoFn):
    def __init__(self, give: Callable[[Any], Iterator[Request]]) -> None:
        self._give = give

    def process(self, source: Any) -> Iterator[Request | TaggedOutput]:
        count = 0
        for request in self._give(source):
            count += 1
            yield request
        yield TaggedOutput(_COUNTED, (FOUND, count))


def find(source: str, settings: InputSettings) -> Iterator[Request]:
    """Every request that one input asks for, with what is known of its pictures without opening them.

    Raises:
        SourceError: the input cannot be listed or read.
    """
    requests = _requests(source, settings)
    return look_at_all(requests) if is_manifest(source) else requests


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


def check_inputs(settings: InputSettings) -> None:
    """Look at each input once before the graph is built: every manifest whole, every glob for one file.

    Raises:
        SourceError: an input cannot be listed or read, or holds nothing.
    """
    for source in settings.input:
        if (error := unknown_list(source)) is not None:
            raise SourceError(error)
        found = _requests(source, settings)
        count = sum(1 for _ in (found if is_manifest(source) else islice(found, 1)))
        if not count:
            raise SourceError(f"--input {source} holds no picture")
