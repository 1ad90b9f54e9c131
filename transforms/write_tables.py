"""TableRows -> WrittenFile: Parquet, one file for a part's rows of a table.

The name follows from the part, and a file appears whole, so a bundle that runs twice
writes the same file twice.
"""

from __future__ import annotations

from io import BytesIO

import apache_beam as beam
import pyarrow.parquet as pq

from transforms.elements import WrittenFile
from transforms.layout import parquet_file
from transforms.read_answers import TableRows
from transforms.settings import OutputSettings
from transforms.storage import Folder, open_folder

COMPRESSION = "zstd"


class WriteTables(beam.PTransform):
    """TableRows -> WrittenFile."""

    def __init__(self, settings: OutputSettings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, rows: beam.PCollection[TableRows]) -> beam.PCollection[WrittenFile]:
        """Write each."""
        return rows | "Write Parquet" >> beam.Map(_write, self._settings)


def _write(rows: TableRows, settings: OutputSettings) -> WrittenFile:
    return write_parquet(open_folder(settings.output), rows)


def write_parquet(folder: Folder, rows: TableRows) -> WrittenFile:
    """Write one file, over one of the same name."""
    path = parquet_file(rows.table, rows.run_id, rows.part_name)
    buffer = BytesIO()
    pq.write_table(rows.rows, buffer, compression=COMPRESSION)
    folder.write(path, buffer.getvalue())
    return WrittenFile(rows.run_id, rows.table, path, len(rows.rows), buffer.tell())
