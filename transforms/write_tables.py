"""Rows by table -> WrittenFiles: each table of a run as few Parquet files of a sensible size.

Rows are written in the process that parsed them, one file for each part and table; what is shuffled then are the names
of these files, which are merged. The ledger is left alone: its files are the parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows
from apache_beam.typehints import with_input_types, with_output_types
from apache_beam.utils.windowed_value import WindowedValue

from cardbeam.config.settings import OutputSettings
from cardbeam.model.part import WrittenFile
from cardbeam.process import configure_process
from cardbeam.run_state.layout import LEDGER
from cardbeam.tables.files.compaction import merge
from cardbeam.tables.files.table_writer import TableWriter
from cardbeam.tables.parts.parsed_rows import ParsedRows
from transforms import metrics

_Table = tuple[str, str]
"""A run, and the folder of one of its tables."""
Rows: TypeAlias = beam.PCollection[ParsedRows]


@with_input_types(ParsedRows)
@with_output_types(WrittenFile)
class WriteTables(beam.PTransform):
    """(Rows by document type, dead letters, ledger) -> WrittenFiles."""

    def __init__(self, settings: OutputSettings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, parsed: tuple[dict[str, Rows], Rows, Rows]) -> beam.PCollection[WrittenFile]:
        """Write each table by itself, then bring the files of each together."""
        documents, dead_letters, ledger = parsed
        rows = {**documents, "dead letters": dead_letters, "ledger": ledger}
        written = [one | f"Write {name}" >> beam.ParDo(_WriteFn(self._settings)) for name, one in rows.items()]
        return (
            written
            | beam.Flatten()
            | "Key by table" >> beam.Map(_with_table).with_output_types(tuple[_Table, WrittenFile])
            | "By table" >> beam.GroupByKey()
            | "Merge" >> beam.ParDo(_MergeFn(self._settings))
        )


def _with_table(file: WrittenFile) -> tuple[_Table, WrittenFile]:
    return (file.run_id, file.table), file


@with_input_types(ParsedRows)
@with_output_types(WrittenFile)
class _WriteFn(beam.DoFn):
    def __init__(self, settings: OutputSettings) -> None:
        self._settings = settings

    def setup(self) -> None:
        configure_process()

    def start_bundle(self) -> None:
        self.teardown()
        self._writer = TableWriter(self._settings.folder())

    def process(self, rows: ParsedRows) -> Iterator[WrittenFile]:
        metrics.count(f"rows_written_{rows.table.rpartition('=')[2]}", len(rows.rows))
        return self._writer.write(rows)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        return map(GlobalWindows.windowed_value(None).with_value, self._writer.end())

    def teardown(self) -> None:
        if hasattr(self, "_writer"):
            self._writer.abandon()


@with_input_types(tuple[_Table, Iterable[WrittenFile]])
@with_output_types(WrittenFile)
class _MergeFn(beam.DoFn):
    def __init__(self, settings: OutputSettings) -> None:
        self._settings = settings

    def process(self, grouped: tuple[_Table, Iterable[WrittenFile]]) -> Iterator[WrittenFile]:
        (_, table), files = grouped
        yield from files if table == LEDGER else merge(self._settings.folder(), files)
