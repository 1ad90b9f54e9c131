"""Run -> rows of its tables: what journal and ledger hold, parsed and split by document type.

A pure function of the stored responses: it can run again for a new schema, or after a crash, without a call.
Parts, which name spans of files, are spread over the workers; rows go on to the next step in the same
process, for a runner fuses a step with those that take each of its outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput
from apache_beam.typehints import with_input_types, with_output_types

from cardbeam.config.settings import OutputSettings
from cardbeam.model.part import Part, PartCounts
from cardbeam.process import configure_process
from cardbeam.run_state.layout import DEAD_LETTERS, DOCUMENT_TABLES, LEDGER, TABLES
from cardbeam.tables.parts.parsed_rows import ParsedRows, parse_part
from cardbeam.tables.parts.part_plan import plan_parts
from transforms.parsed_rows_coder import register_coders

_TAGS = {table: DOCUMENT_TABLES.get(table, table) for table in TABLES}
"""Table folder -> tag: a document's type, or the table itself."""


class ParsedResponses(NamedTuple):
    """Rows of the documents tables by type, of dead letters, of the ledger; and what each part holds."""

    documents: dict[str, beam.PCollection[ParsedRows]]
    dead_letters: beam.PCollection[ParsedRows]
    ledger: beam.PCollection[ParsedRows]
    counts: beam.PCollection[PartCounts]


@with_input_types(str)
class ParseResponses(beam.PTransform):
    """Ids of runs whose responses are durable -> ParsedResponses."""

    def __init__(self, settings: OutputSettings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, run_ids: beam.PCollection[str]) -> ParsedResponses:
        """Plan the parts, spread them, parse each."""
        register_coders()
        parts = run_ids | "Plan parts" >> beam.ParDo(_PlanFn(self._settings)) | "Spread parts" >> beam.Reshuffle()
        parse = beam.ParDo(_ParseFn(self._settings)).with_outputs(*_TAGS.values(), main="counts")
        parsed = parts | "Parse" >> parse
        documents = {name: parsed[name] for name in DOCUMENT_TABLES.values()}
        return ParsedResponses(documents, parsed[DEAD_LETTERS], parsed[LEDGER], parsed.counts)


@with_input_types(str)
@with_output_types(Part)
class _PlanFn(beam.DoFn):
    def __init__(self, settings: OutputSettings) -> None:
        self._settings = settings

    def process(self, run_id: str) -> list[Part]:
        parts = plan_parts(self._settings.folder(), run_id)
        pa.default_memory_pool().release_unused()  # what calls and planning took and do not need any more
        return parts


@with_input_types(Part)
@with_output_types(PartCounts, **dict.fromkeys(_TAGS.values(), ParsedRows))
class _ParseFn(beam.DoFn):
    def __init__(self, settings: OutputSettings) -> None:
        self._settings = settings

    def setup(self) -> None:
        configure_process()

    def process(self, part: Part) -> Iterator[PartCounts | TaggedOutput]:
        for one in parse_part(self._settings.folder(), part):
            yield one if isinstance(one, PartCounts) else TaggedOutput(_TAGS[one.table], one)
        pa.default_memory_pool().release_unused()  # or what is kept of each part adds up
