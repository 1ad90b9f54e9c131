"""Inputs -> Requests: globs, folders and manifests, listed as a stream; no picture is opened."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import apache_beam as beam

from schemas.contract import OPERATIONS
from transforms.elements import Request
from transforms.manifests import is_manifest, read_manifest
from transforms.settings import InputSettings
from transforms.sources import SourceError, list_pictures


class FindCards(beam.PTransform):
    """Inputs -> Requests."""

    def __init__(self, settings: InputSettings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, inputs: beam.PCollection[str]) -> beam.PCollection[Request]:
        """List each input."""
        return inputs | "List" >> beam.FlatMap(find, self._settings.operation).with_output_types(Request)


def find(source: str, operation: str) -> Iterator[Request]:
    """Every request that one input asks for.

    Raises:
        SourceError: the input cannot be listed or read.
    """
    sides = len(OPERATIONS[operation].picture_params)
    if is_manifest(source):
        yield from read_manifest(source, operation, sides)
        return
    if sides != 1:
        raise SourceError(f"--input {source}: {operation} takes two sides; give a manifest with front_uri and back_uri")
    for picture in list_pictures(source):
        yield Request(operation, (picture,))


def check_inputs(settings: InputSettings) -> None:
    """Look at each input once before the graph is built: every manifest whole, every glob for one file.

    Raises:
        SourceError: an input cannot be listed or read, or holds nothing.
    """
    for source in settings.input:
        found = find(source, settings.operation)
        count = sum(1 for _ in (found if is_manifest(source) else islice(found, 1)))
        if not count:
            raise SourceError(f"--input {source} holds no picture")
