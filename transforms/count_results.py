"""Counts of what was found and of how each request ended: the receipt's `requests`.

`found` is counted where the inputs are listed, the ends where each request ends, so that the two can be held
against each other. Once all inputs are listed, both counts are written down for `status`.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import apache_beam as beam
import orjson
from apache_beam.pvalue import AsIter
from apache_beam.typehints import with_input_types, with_output_types
from apache_beam.utils.windowed_value import WindowedValue

from cardbeam.config.settings import OutputSettings
from cardbeam.model.result import THROTTLED_US, Counts, RequestResult, StatusCount
from cardbeam.run_state.layout import COUNTS_FILE, run_file
from cardbeam.run_state.liveness.job_attempt import begin_attempt


@with_input_types(StatusCount)
@with_output_types(str)
class CountInputs(beam.PTransform):
    """Counts of found, of skipped -> the attempt's name, once all inputs are listed."""

    def __init__(self, settings: OutputSettings) -> None:
        super().__init__()
        self._settings, self._launch = settings, uuid.uuid4().hex

    def expand(self, counted: tuple[beam.PCollection[StatusCount], ...]) -> beam.PCollection[str]:
        """Add both up and write them down."""
        write = beam.Map(_write_counts, self._settings, self._launch).with_output_types(str)
        return add_up(*counted) | "Write" >> write


def _write_counts(counts: Counts, settings: OutputSettings, launch: str) -> str:
    folder = settings.folder()
    folder.write(run_file(settings.run_id, COUNTS_FILE), orjson.dumps(counts))
    return begin_attempt(folder, settings.run_id, launch)


RunCounts = tuple[tuple[beam.PCollection[StatusCount], ...], beam.PCollection[RequestResult]]


@with_input_types(StatusCount, RequestResult)
@with_output_types(Counts)
class CountResults(beam.PTransform):
    """(Counts of found, of skipped; results of the rest) -> Counts, once all of them have ended."""

    def expand(self, counted: RunCounts) -> beam.PCollection[Counts]:
        """Count by what it is."""
        before, results = counted
        return add_up(*before, results | "Count" >> beam.ParDo(_CountFn()))


@with_input_types(RequestResult)
@with_output_types(StatusCount)
class _CountFn(beam.DoFn):
    """One element a bundle, window and kind, not one a request: a runner may hold them all until the last has ended."""

    def start_bundle(self) -> None:
        self._counts: dict[Any, Counter[str]] = {}

    def process(self, result: RequestResult, window: Any = beam.DoFn.WindowParam) -> None:
        counts = self._counts.setdefault(window, Counter())
        counts[result.outcome.value] += 1
        if result.throttled_s:
            counts[THROTTLED_US] += round(result.throttled_s * 1_000_000)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for window, counts in self._counts.items():
            for counted in counts.items():
                yield WindowedValue(counted, window.max_timestamp(), (window,))


def add_up(*counted: beam.PCollection[StatusCount]) -> beam.PCollection[Counts]:
    """All of them as one. There are few, so they go by the side: combiners would be a dozen steps of the graph."""
    return (
        counted[0].pipeline
        | beam.Impulse()
        | "Add up" >> beam.Map(_sum, *map(AsIter, counted)).with_output_types(Counts)
    )


def _sum(_: bytes, *counted: Iterable[StatusCount]) -> Counts:
    total: Counter[str] = Counter()
    for kind, count in chain(*counted):
        total[kind] += count
    return dict(total)
