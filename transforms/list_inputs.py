"""Inputs -> ListedInputs: the requests of each input, and how many there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints import with_input_types, with_output_types

from cardbeam.config.settings import InputSettings
from cardbeam.inputs.listing import list_requests
from cardbeam.inputs.sample import list_all
from cardbeam.model.request import Request
from cardbeam.model.result import FOUND, StatusCount
from cardbeam.process import configure_process
from transforms import metrics
from transforms.beam_files import use_beam_files

_COUNTS = "counts"


class ListedInputs(NamedTuple):
    """The requests, and how many each input gave."""

    requests: beam.PCollection[Request]
    found: beam.PCollection[StatusCount]


@with_input_types(str)
class ListInputs(beam.PTransform):
    """Globs, folders and manifests -> ListedInputs."""

    def __init__(self, settings: InputSettings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, inputs: beam.PCollection[str]) -> ListedInputs:
        """List each input."""
        if self._settings.sample:  # drawn over all inputs at once
            sources = inputs.pipeline | "All inputs" >> beam.Create([self._settings.input])
            return list_and_count(sources, partial(list_all, settings=self._settings))
        return list_and_count(inputs, partial(list_requests, settings=self._settings))


def list_and_count(sources: beam.PCollection[Any], give: Callable[[Any], Iterator[Request]]) -> ListedInputs:
    """All that each source gives. The count is one element a source, not one a request: there are millions."""
    listed = sources | "List" >> beam.ParDo(_ListFn(give)).with_outputs(_COUNTS, main="requests")
    return ListedInputs(listed.requests, listed[_COUNTS])


@with_output_types(Request, counts=StatusCount)
class _ListFn(beam.DoFn):
    def __init__(self, give: Callable[[Any], Iterator[Request]]) -> None:
        self._give = give

    def setup(self) -> None:
        configure_process()
        use_beam_files()

    def process(self, source: Any) -> Iterator[Request | TaggedOutput]:
        count = 0
        for request in self._give(source):
            count += 1
            yield request
        metrics.count("requests_found", count)
        yield TaggedOutput(_COUNTS, (FOUND, count))
