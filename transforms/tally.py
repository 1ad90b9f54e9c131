"""What was found, and what came of it -> one count of each: the receipt's requests.

`found` is counted where the inputs are listed, the fates where each request ends, so that
the two can be held against each other.
"""

from __future__ import annotations

import apache_beam as beam

from transforms.elements import Counted, Ending

Counts = dict[str, int]
Tallied = tuple[beam.PCollection[Counted], beam.PCollection[Counted], beam.PCollection[Ending]]


class Tally(beam.PTransform):
    """(Counted as found, Counted as known, Endings of the rest) -> Counts, once all of them have ended."""

    def expand(self, tallied: Tallied) -> beam.PCollection[Counts]:
        """Count by what it is."""
        found, known, endings = tallied
        ended = endings | "One each" >> beam.Map(lambda ending: (ending.fate.value, 1))
        return (found, known, ended) | beam.Flatten() | beam.CombinePerKey(sum) | "As one" >> beam.combiners.ToDict()
