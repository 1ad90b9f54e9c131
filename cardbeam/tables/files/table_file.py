"""Rows -> one file of a table, written piece by piece; it appears whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from cardbeam.model.part import WrittenFile
from cardbeam.run_state.layout import parquet_file, staging_file
from cardbeam.storage.folder import Files, Folder
from cardbeam.storage.read_parquet import schema_fingerprint
from cardbeam.tables.files.parquet_options import ROW_GROUP_ROWS, writer_options

_Open = Callable[[BinaryIO], Any]


@dataclass(frozen=True, slots=True)
class TableRows:
    """Rows of a table, and the name of the file that they go to."""

    table: str
    run_id: str
    name: str
    rows: pa.Table


class TableFile:
    """A file in progress, and what there is of it by now."""

    def __init__(self, written: WrittenFile, sink: BinaryIO, writer: Any) -> None:
        self.written = written
        self._sink, self._writer = sink, writer

    def write(self, rows: pa.Table) -> None:
        """Add rows: a row group of Parquet, a batch of Arrow."""
        self._writer.write_table(rows, ROW_GROUP_ROWS)
        self.measure(len(rows))

    def measure(self, more_rows: int = 0) -> None:
        """Note what has come to it."""
        rows = self.written.rows + more_rows
        self.written = replace(self.written, rows=rows, size_bytes=self._sink.tell())


def open_parquet(
    folder: Folder, first: TableRows, *, group_rows: int | None = None
) -> AbstractContextManager[TableFile]:
    """A Parquet file for rows like the first, which are not written yet; as many, or so many, make a row group."""
    path = parquet_file(first.table, first.run_id, first.name)
    options = writer_options(first.rows.schema, len(first.rows) if group_rows is None else group_rows)
    return _open(folder, _started(first, path), partial(pq.ParquetWriter, schema=first.rows.schema, **options))


def open_staging(folder: Files, first: TableRows) -> AbstractContextManager[TableFile]:
    """A file that is to be merged, in Arrow's own form, which costs a tenth; packed where it goes over a network."""
    options = pa.ipc.IpcWriteOptions(compression=None if folder.is_local else "zstd")
    path = staging_file(first.table, first.run_id, first.name)
    return _open(folder, _started(first, path), partial(pa.ipc.new_file, schema=first.rows.schema, options=options))


def _started(first: TableRows, path: str) -> WrittenFile:
    return WrittenFile(first.run_id, first.table, path, 0, 0, schema_fingerprint(first.rows.schema))


@contextmanager
def _open(folder: Files, begun: WrittenFile, open_writer: _Open) -> Iterator[TableFile]:
    """Nothing of the first rows is held here: the file may be open for long."""
    with folder.writer(begun.path) as sink:
        with open_writer(sink) as writer:
            file = TableFile(begun, sink, writer)
            yield file
        file.measure()


def write_parquet(folder: Folder, rows: TableRows) -> WrittenFile:
    """Write all rows of a file, over one of the same name."""
    with open_parquet(folder, rows) as file:
        file.write(rows.rows)
    return file.written
