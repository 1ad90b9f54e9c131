"""WrittenFiles -> WrittenFiles: the small files of a run's table as few of a sensible size.

Each part gives a file to each table, and parts are small enough for a worker's memory; a table of a large run would be
hundreds of files. The ledger is left alone: its files are the parts. A merged file is named after what it was made
of, so that the same parts always make the same files; those it replaces go with the run's last stage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from io import BytesIO

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.elements import WrittenFile
from transforms.layout import LEDGER, parquet_file
from transforms.parquet_shape import ROW_GROUP_ROWS, in_order, writer_options
from transforms.settings import OutputSettings
from transforms.storage import Folder, open_folder

FILE_BYTES = 128 * 1024 * 1024
"""A merged file holds at most so much: large enough to be read in few requests, small enough to be held in memory."""


class MergeFiles(beam.PTransform):
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
    if table == LEDGER:
        yield from files
        return
    folder = open_folder(settings.output)
    for together in packed(files):
        yield together[0] if len(together) == 1 else merge(folder, together)


def packed(files: Iterable[WrittenFile], file_bytes: int = FILE_BYTES) -> Iterator[list[WrittenFile]]:
    """Files in the order of their names, cut where the next would make them more than `file_bytes`."""
    together: list[WrittenFile] = []
    size_bytes = 0
    for file in sorted(files, key=lambda file: file.path):
        if together and size_bytes + file.size_bytes > file_bytes:
            yield together
            together, size_bytes = [], 0
        together.append(file)
        size_bytes += file.size_bytes
    if together:
        yield together


def merge(folder: Folder, files: list[WrittenFile]) -> WrittenFile:
    """Write one file with the rows of all, a row group in memory at a time; they are of one table and one run."""
    first = files[0]
    rows = sum(file.rows for file in files)
    buffer = BytesIO()
    groups = _row_groups(folder, files)
    group = next(groups)
    with pq.ParquetWriter(buffer, group.schema, **writer_options(group.schema, len(group))) as writer:
        writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
        for group in groups:
            writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
    name = hashlib.sha256("".join(file.path for file in files).encode()).hexdigest()[:16]
    path = parquet_file(first.table, first.run_id, f"merged-{name}")
    folder.write(path, buffer.getvalue())
    return WrittenFile(first.run_id, first.table, path, rows, buffer.tell())


def _row_groups(folder: Folder, files: list[WrittenFile]) -> Iterator[pa.Table]:
    """The rows of the files, in order within groups of some `ROW_GROUP_ROWS`."""
    waiting: list[pa.Table] = []
    for file in files:
        with folder.open(file.path) as opened:
            waiting.append(pq.ParquetFile(opened).read())
        if sum(map(len, waiting)) >= ROW_GROUP_ROWS:
            yield in_order(pa.concat_tables(waiting))
            waiting = []
    if waiting:
        yield in_order(pa.concat_tables(waiting))
