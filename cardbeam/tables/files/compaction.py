"""Files of a run's table -> the same rows in few Parquet files of a sensible size, a row group in memory at a time.

Each part gives a file to each table, and parts are small; a table of a large run would be hundreds of files. Files are
named after what they were made of and after their columns, so that the same parts always make the same files, and no
other rows are put under a name that a query may be reading.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import count
from operator import attrgetter
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.ipc

from cardbeam.model.part import WrittenFile
from cardbeam.storage.folder import Files, Folder
from cardbeam.storage.read_parquet import damage_named, opened_parquet
from cardbeam.tables.files.parquet_options import GROUP_BYTES, ROW_GROUP_ROWS, batched
from cardbeam.tables.files.table_file import TableRows, open_parquet

FILE_BYTES = 128 * 1024 * 1024
"""A file holds about so much: large enough to be read in few requests, small enough to be put into a bucket in one."""
_BATCH_ROWS = 4096


def merge(
    folder: Folder, files: Iterable[WrittenFile], file_bytes: int = FILE_BYTES, staging: Files | None = None
) -> Iterator[WrittenFile]:
    """Write the rows of all; they are of one table and one run, and wait in a place of their own, if there is one."""
    files = sorted(files, key=attrgetter("path"))
    first = files[0]
    groups = batched(_pieces(staging or folder, files), ROW_GROUP_ROWS, GROUP_BYTES)
    group = next(groups, None)
    if group is None:
        return
    name = _name(files, group.schema)
    for number in count():
        if group is None:
            return
        numbered = f"{name}-{number}" if number else name
        with open_parquet(folder, TableRows(first.table, first.run_id, numbered, group)) as file:
            largest_bytes = 0
            while group is not None and file.written.size_bytes + largest_bytes <= file_bytes:
                before = file.written.size_bytes
                file.write(group)
                largest_bytes = max(largest_bytes, file.written.size_bytes - before)
                group = None  # two are too many
                group = next(groups, None)
        yield file.written


def _name(files: list[WrittenFile], schema: pa.Schema) -> str:
    columns = schema.serialize().to_pybytes()
    if len(files) == 1:
        stem = PurePosixPath(files[0].path).stem.removeprefix("_")
        return f"{stem}-{hashlib.sha256(columns).hexdigest()[:8]}"
    paths = "".join(file.path for file in files).encode()
    return f"merged-{hashlib.sha256(paths + columns).hexdigest()[:16]}"


def _pieces(folder: Files, files: list[WrittenFile]) -> Iterator[pa.Table]:
    for file in files:
        batches = _waiting(folder, file.path) if file.path.endswith(".arrow") else _stored(folder, file.path)
        yield from (pa.Table.from_batches([batch]) for batch in batches)


def _waiting(folder: Files, path: str) -> Iterator[pa.RecordBatch]:
    with folder.open(path) as opened, damage_named(path):
        reader = pa.ipc.open_file(opened)
        yield from (reader.get_batch(number) for number in range(reader.num_record_batches))


def _stored(folder: Files, path: str) -> Iterator[pa.RecordBatch]:
    with opened_parquet(folder, path) as file:
        yield from file.iter_batches(_BATCH_ROWS)
