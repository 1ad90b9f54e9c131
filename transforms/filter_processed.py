"""Requests -> those to process in this run, by groups of likely duplicates; the others end here.

What an earlier run processed is known by its source and labels, without opening an image: the requests are joined with
the index on disk in the order of their URIs. The rest meets by the size of its images: duplicates have equal sizes, so
they land in one group and one worker can find them, while only URIs are shuffled, packed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindows
from apache_beam.typehints import with_input_types, with_output_types
from apache_beam.utils.windowed_value import WindowedValue

from cardbeam.config.settings import InputSettings
from cardbeam.index.on_disk.source_join import SourceJoin
from cardbeam.index.processed_index import ProcessedIndex
from cardbeam.model.grouping import group_of, key_of
from cardbeam.model.request import Request
from cardbeam.model.request_codec import Packer
from cardbeam.model.result import RequestOutcome, StatusCount
from cardbeam.process import configure_process
from transforms import metrics
from transforms.shared_index import SharedIndex

_COUNTS = "counts"


class PendingInputs(NamedTuple):
    """What is left to process, in groups, and how many an earlier run processed."""

    groups: beam.PCollection[tuple[str, Iterable[bytes]]]
    skipped: beam.PCollection[StatusCount]


@with_input_types(Request)
class FilterProcessed(beam.PTransform):
    """Requests -> PendingInputs."""

    def __init__(self, settings: InputSettings, index: SharedIndex) -> None:
        super().__init__()
        self._settings, self._index = settings, index

    def expand(self, requests: beam.PCollection[Request]) -> PendingInputs:
        """Look up, then group."""
        known = requests | "Look up" >> beam.ParDo(_LookUpFn(self._index)).with_outputs(_COUNTS, main="left")
        groups = known.left | "Group duplicates" >> GroupDuplicates(self._settings)
        return PendingInputs(groups, known[_COUNTS])


@with_input_types(Request)
@with_output_types(tuple[str, Iterable[bytes]])
class GroupDuplicates(beam.PTransform):
    """Requests -> groups of likely duplicates, packed."""

    def __init__(self, settings: InputSettings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, requests: beam.PCollection[Request]) -> beam.PCollection[tuple[str, Iterable[bytes]]]:
        """Pack by size, group."""
        pack = beam.ParDo(_PackFn(by_source=self._settings.dedupe == "source"))
        return requests | "Pack by size" >> pack | "Bring likely duplicates together" >> beam.GroupByKey()


@with_input_types(Request)
@with_output_types(Request, counts=StatusCount)
class _LookUpFn(beam.DoFn):
    def __init__(self, index: SharedIndex) -> None:
        self._shared = index

    def setup(self) -> None:
        configure_process()
        self._index: ProcessedIndex = self._shared.get()

    def start_bundle(self) -> None:
        self._join = SourceJoin(self._index)

    def process(self, request: Request) -> Iterator[Request]:
        return self._join.add(request)

    def finish_bundle(self) -> Iterator[WindowedValue | TaggedOutput]:
        """One count a bundle, not one a request: there are millions."""
        yield from map(GlobalWindows.windowed_value, self._join.rest())
        if before := self._join.known:
            metrics.count("requests_skipped", before)
            yield TaggedOutput(_COUNTS, GlobalWindows.windowed_value((RequestOutcome.SKIPPED.value, before)))


@with_input_types(Request)
@with_output_types(tuple[str, bytes])
class _PackFn(beam.DoFn):
    def __init__(self, *, by_source: bool) -> None:
        self._by_source = by_source

    def start_bundle(self) -> None:
        self._packer = Packer()

    def process(self, request: Request) -> Iterator[tuple[str, bytes]]:
        return self._packer.add(group_of(key_of(request, by_source=self._by_source)), request)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        return map(GlobalWindows.windowed_value(None).with_value, self._packer.rest())
