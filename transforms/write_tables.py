"""TableRows -> WrittenFile: Parquet, one file for a part's rows of a table.

The name follows from the part, and a file appears whole, so a bundle that runs twice
writes the same file twice.
"""

from __future__ import annotations

from io import BytesIO

import apache_beam as beam
import pyarrow as pa
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
    path = parquet_file(rows.table, rows.run_id, rows.part_name)
    return write_parquet(open_folder(settings.output), rows.table, path, rows.rows)


def write_parquet(folder: Folder, table: str, path: str, rows: pa.Table) -> WrittenFile:
    """Write one file, over one of the same name."""
    buffer = BytesIO()
    pq.write_table(rows, buffer, compression=COMPRESSION)
    folder.write(path, buffer.getvalue())
    return WrittenFile(table, path, len(rows), buffer.tell())
