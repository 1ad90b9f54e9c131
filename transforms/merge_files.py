"""WrittenFiles -> WrittenFiles: the parts of a run's table as few Parquet files of a sensible size.

Each part gives a file to each table, and parts are small enough for a worker's memory; a table of a large run would be
hundreds of files. The ledger is left alone: its files are the parts. Files are named after what they were made
of, so that the same parts always make the same files; those they replace go with the run's last stage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from operator import attrgetter
from pathlib import PurePosixPath

import apache_beam as beam
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from transforms.elements import WrittenFile
from transforms.layout import LEDGER, parquet_file
from transforms.parquet_shape import ROW_GROUP_ROWS, in_order, writer_options
from transforms.settings import OutputSettings
from transforms.storage import Folder, open_folder

FILE_BYTES = 128 * 1024 * 1024
"""A file holds about so much: large enough to be read in few requests, small enough to be held in memory."""


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
    yield from files if table == LEDGER else merge(open_folder(settings.output), files)


def merge(folder: Folder, files: Iterable[WrittenFile], file_bytes: int = FILE_BYTES) -> Iterator[WrittenFile]:
    """Write the rows of all, a few row groups in memory at a time; they are of one table and one run."""
    files = sorted(files, key=attrgetter("path"))
    first, name = files[0], _name(files)
    for number, (rows, content) in enumerate(_files_of(_row_groups(folder, files), file_bytes)):
        path = parquet_file(first.table, first.run_id, f"{name}-{number}" if number else name)
        folder.write(path, content)
        yield WrittenFile(first.run_id, first.table, path, rows, len(content))


def _name(files: list[WrittenFile]) -> str:
    if len(files) == 1:
        return PurePosixPath(files[0].path).stem.removeprefix("_")
    return f"merged-{hashlib.sha256(''.join(file.path for file in files).encode()).hexdigest()[:16]}"


def _files_of(groups: Iterator[pa.Table], file_bytes: int) -> Iterator[tuple[int, memoryview]]:
    """Row groups as whole files with their rows, cut where the next group would make one more than `file_bytes`."""
    group = next(groups, None)
    while group is not None:
        buffer, rows, largest_bytes = BytesIO(), 0, 0
        with pq.ParquetWriter(buffer, group.schema, **writer_options(group.schema, len(group))) as writer:
            while group is not None and (not rows or buffer.tell() + largest_bytes <= file_bytes):
                before = buffer.tell()
                writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
                rows, largest_bytes = rows + len(group), max(largest_bytes, buffer.tell() - before)
                group = None  # two are too many
                group = next(groups, None)
        yield rows, buffer.getbuffer()


def _row_groups(folder: Folder, files: list[WrittenFile]) -> Iterator[pa.Table]:
    """The rows of the files, in order within groups of some `ROW_GROUP_ROWS`."""
    waiting: list[pa.Table] = []
    for file in files:
        waiting.append(_read(folder, file.path))
        if sum(map(len, waiting)) >= ROW_GROUP_ROWS:
            yield _put_in_order(waiting)
    if waiting:
        yield _put_in_order(waiting)


def _put_in_order(waiting: list[pa.Table]) -> pa.Table:
    """The rows of a list, which is empty then: while they are written they are in memory once."""
    rows = pa.concat_tables(waiting)
    waiting.clear()
    return in_order(rows)


def _read(folder: Folder, path: str) -> pa.Table:
    with folder.open(path) as opened:
        return pa.ipc.open_file(opened).read_all() if path.endswith(".arrow") else pq.ParquetFile(opened).read()
