"""What was found, and what came of it -> one count of each: the receipt's requests.

`found` is counted where the inputs are listed, the fates where each request ends, so that
the two can be held against each other.
"""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam

from transforms.elements import Counted, Ending

THROTTLED_US = "throttled_us"
"""Microseconds in which the quota held a worker back, over all workers."""

Counts = dict[str, int]
Tallied = tuple[beam.PCollection[Counted], beam.PCollection[Counted], beam.PCollection[Ending]]


class Tally(beam.PTransform):
    """(Counted as found, Counted as known, Endings of the rest) -> Counts, once all of them have ended."""

    def expand(self, tallied: Tallied) -> beam.PCollection[Counts]:
        """Count by what it is."""
        found, known, endings = tallied
        ended = endings | "One each" >> beam.FlatMap(_counts_of)
        return (found, known, ended) | beam.Flatten() | beam.CombinePerKey(sum) | "As one" >> beam.combiners.ToDict()


def _counts_of(ending: Ending) -> Iterator[tuple[str, int]]:
    yield ending.fate.value, 1
    if ending.throttled_s:
        yield THROTTLED_US, round(ending.throttled_s * 1_000_000)
