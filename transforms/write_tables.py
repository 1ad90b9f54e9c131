"""WrittenFiles -> WrittenFiles: the parts of a run's table as few Parquet files of a sensible size.

The ledger is left alone: its files are the parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import apache_beam as beam

from cardbeam.config.settings import OutputSettings
from cardbeam.model.part import WrittenFile
from cardbeam.run_state.layout import LEDGER
from cardbeam.storage.folder import open_folder
from cardbeam.tables.compaction import merge


class WriteTables(beam.PTransform):
    """WrittenFiles -> WrittenFiles."""

    def __init__(self, settings: OutputSettings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, files: beam.PCollection[WrittenFile]) -> beam.PCollection[WrittenFile]:
        """Bring the files of each table of a run together."""
        return (
            files
            | "By table" >> beam.GroupBy(_table_of)
            | "Merge" >> beam.FlatMap(_merge, self._settings).with_output_types(WrittenFile)
        )


def _table_of(file: WrittenFile) -> tuple[str, str]:
    return file.run_id, file.table


def _merge(grouped: tuple[tuple[str, str], Iterable[WrittenFile]], settings: OutputSettings) -> Iterator[WrittenFile]:
    (_, table), files = grouped
    yield from files if table == LEDGER else merge(open_folder(settings.output), files)
