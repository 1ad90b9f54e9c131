"""TableRows -> WrittenFile: a file for a part's rows of a table, then few Parquet files for the parts of a run.

The name follows from the part, and a file appears whole, so a bundle that runs twice
writes the same file twice. Until they are merged, rows wait in Arrow's own form, which costs
a tenth of Parquet.
"""

from __future__ import annotations

from io import BytesIO

import apache_beam as beam
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from transforms.elements import WrittenFile
from transforms.layout import LEDGER, parquet_file, waiting_file
from transforms.merge_files import MergeFiles
from transforms.parquet_shape import ROW_GROUP_ROWS, in_order, writer_options
from transforms.read_answers import TableRows
from transforms.settings import OutputSettings
from transforms.storage import Folder, open_folder


class WriteTables(beam.PTransform):
    """TableRows -> WrittenFile."""

    def __init__(self, settings: OutputSettings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, rows: beam.PCollection[TableRows]) -> beam.PCollection[WrittenFile]:
        """Write each part, then the tables."""
        files = rows | "Write parts" >> beam.Map(_write, self._settings).with_output_types(WrittenFile)
        return files | "Merge files" >> MergeFiles(self._settings)


def _write(rows: TableRows, settings: OutputSettings) -> WrittenFile:
    write = write_parquet if rows.table == LEDGER else write_waiting
    return write(open_folder(settings.output), rows)


def write_parquet(folder: Folder, rows: TableRows) -> WrittenFile:
    """Write one file, over one of the same name."""
    path = parquet_file(rows.table, rows.run_id, rows.part_name)
    buffer = BytesIO()
    ordered = rows.rows if rows.table == LEDGER else in_order(rows.rows)
    options = writer_options(ordered.schema, len(ordered))
    pq.write_table(ordered, buffer, row_group_size=ROW_GROUP_ROWS, **options)
    folder.write(path, buffer.getbuffer())
    return WrittenFile(rows.run_id, rows.table, path, len(rows.rows), buffer.tell())


def write_waiting(folder: Folder, rows: TableRows) -> WrittenFile:
    """Write one file that is to be merged, over one of the same name; packed where it goes over a network."""
    path = waiting_file(rows.table, rows.run_id, rows.part_name)
    buffer = BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=None if folder.is_local else "zstd")
    with pa.ipc.new_file(buffer, rows.rows.schema, options=options) as writer:
        writer.write_table(rows.rows)
    folder.write(path, buffer.getbuffer())
    return WrittenFile(rows.run_id, rows.table, path, len(rows.rows), buffer.tell())
