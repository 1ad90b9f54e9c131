"""Run -> WrittenFiles: what the journal and the ledger hold, as typed rows by table, in files that wait to be merged.

A pure function of the answers: it can run again for a new schema, or after a crash,
without a call.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from cardbeam.config.settings import OutputSettings
from cardbeam.model.part import Part, PartCounts, WrittenFile
from cardbeam.process import configure_process
from cardbeam.storage.folder import open_folder
from cardbeam.tables.part_plan import plan_parts
from cardbeam.tables.write_part import write_part

_COUNTS = "counts"


class ParsedParts(NamedTuple):
    """Files of rows, several for each table, and what each part holds."""

    files: beam.PCollection[WrittenFile]
    counts: beam.PCollection[PartCounts]


class ParseResponses(beam.PTransform):
    """Run ids -> Answers. A run's id comes when all its answers are durable."""

    def __init__(self, settings: OutputSettings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, run_ids: beam.PCollection[str]) -> ParsedParts:
        """Plan the parts, spread them, read each."""
        read = (
            run_ids
            | "Plan parts" >> beam.FlatMap(_plan, self._settings)
            | "Spread parts" >> beam.Reshuffle()
            | "Read parts" >> beam.ParDo(_ReadPartFn(self._settings)).with_outputs(_COUNTS, main="files")
        )
        return ParsedParts(read.files, read[_COUNTS])


def _plan(run_id: str, settings: OutputSettings) -> list[Part]:
    parts = plan_parts(open_folder(settings.output), run_id)
    pa.default_memory_pool().release_unused()  # what calls and planning took and do not need any more
    return parts


class _ReadPartFn(beam.DoFn):
    def __init__(self, settings: OutputSettings) -> None:
        self._settings = settings

    def setup(self) -> None:
        configure_process()

    def process(self, part: Part) -> Iterator[WrittenFile | TaggedOutput]:
        files, counts = write_part(open_folder(self._settings.output), part)
        pa.default_memory_pool().release_unused()  # or what is kept of each part adds up
        yield from files
        yield TaggedOutput(_COUNTS, counts)
