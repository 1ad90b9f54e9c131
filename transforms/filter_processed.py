"""Requests -> those to settle in this run, by groups of likely copies; the others end here.

What an earlier run settled is known by its source and labels, without opening a picture. The rest
meets by the size of its pictures: copies have equal sizes, so they land in one group and
one worker can find them, while only URIs are shuffled, packed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from cardbeam.config.settings import InputSettings
from cardbeam.index.processed_index import Answered
from cardbeam.model.grouping import group_of, key_of
from cardbeam.model.request import Request, input_id_of
from cardbeam.model.request_codec import Packer
from cardbeam.model.result import Counted, Fate
from cardbeam.process import configure_process
from transforms.shared_index import SharedAnswered

_COUNTED = "counted"


class Sorted(NamedTuple):
    """What is left to settle, in groups, and how many an earlier run settled."""

    left: beam.PCollection[tuple[str, Iterable[bytes]]]
    counted: beam.PCollection[Counted]


class LeaveOutAnswered(beam.PTransform):
    """Requests -> Sorted."""

    def __init__(self, settings: InputSettings, answered: SharedAnswered) -> None:
        super().__init__()
        self._settings, self._answered = settings, answered

    def expand(self, requests: beam.PCollection[Request]) -> Sorted:
        """Look up, pack by size, group."""
        known = requests | "Look up" >> beam.ParDo(_LookUpFn(self._answered)).with_outputs(_COUNTED, main="left")
        left = (
            known.left
            | "Pack by size" >> beam.ParDo(_PackFn(by_source=self._settings.dedupe == "source"))
            | "Bring likely copies together" >> beam.GroupByKey()
        )
        return Sorted(left, known[_COUNTED])


class _LookUpFn(beam.DoFn):
    def __init__(self, answered: SharedAnswered) -> None:
        self._shared = answered

    def setup(self) -> None:
        configure_process()
        self._answered: Answered = self._shared.get()

    def start_bundle(self) -> None:
        self._before = 0

    def process(self, request: Request) -> Iterator[Request]:
        if is_known(request, self._answered):
            self._before += 1
        else:
            yield request

    def finish_bundle(self) -> Iterator[TaggedOutput]:
        """One count a bundle, not one a request: there are millions."""
        if self._before:
            yield TaggedOutput(_COUNTED, GlobalWindows.windowed_value((Fate.ANSWERED_BEFORE.value, self._before)))


class _PackFn(beam.DoFn):
    def __init__(self, *, by_source: bool) -> None:
        self._by_source = by_source

    def start_bundle(self) -> None:
        self._packer = Packer()

    def process(self, request: Request) -> Iterator[tuple[str, bytes]]:
        return self._packer.add(group_of(key_of(request, by_source=self._by_source)), request)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        return map(GlobalWindows.windowed_value(None).with_value, self._packer.rest())


def is_known(request: Request, answered: Answered) -> bool:
    """Whether an earlier run processed the image, and its labels are recorded.

    One with other labels goes on, so that these are recorded too: it is neither opened nor sent.
    """
    source_id = request.source_id
    standing, item_id = answered.of_source(source_id)
    if not standing.is_before or not request.labels:
        return standing.is_before
    return answered.has_input(source_id, input_id_of(source_id, item_id, request.uris, request.labels))
