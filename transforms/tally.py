"""What was found, and what came of it -> one count of each: the receipt's requests.

`found` is counted where the inputs are listed, the endings where each request ends, so
that the two can be held against each other.
"""

from __future__ import annotations

import apache_beam as beam

from transforms.elements import Ending, Request

FOUND = "found"
Counts = dict[str, int]


class Tally(beam.PTransform):
    """(Requests, Endings of the known, Endings of the rest) -> Counts, once all of them have ended."""

    def expand(
        self, found_and_endings: tuple[beam.PCollection[Request], beam.PCollection[Ending], beam.PCollection[Ending]]
    ) -> beam.PCollection[Counts]:
        """Count by what it is."""
        found, *endings = found_and_endings
        names = [found | "Found" >> beam.Map(lambda _: FOUND)]
        names += [
            ended | f"Fate {number}" >> beam.Map(lambda ending: ending.fate.value)
            for number, ended in enumerate(endings)
        ]
        return (
            names
            | "Together" >> beam.Flatten()
            | "Count" >> beam.combiners.Count.PerElement()
            | "As one" >> beam.combiners.ToDict()
        )
