"""Rows -> one file of a table, written piece by piece; it appears whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from transforms.elements import WrittenFile
from transforms.layout import LEDGER, parquet_file, waiting_file
from transforms.parquet_shape import ROW_GROUP_ROWS, in_order, writer_options
from transforms.storage import Files, Folder

_Open = Callable[[BinaryIO], Any]


@dataclass(frozen=True, slots=True)
class TableRows:
    """Rows of a table, and the name of the file that they go to."""

    table: str
    run_id: str
    name: str
    rows: pa.Table


class TableFile:
    """A file under way."""

    def __init__(self, first: TableRows, path: str, sink: BinaryIO, writer: Any) -> None:
        self._run_id, self._table, self._path = first.run_id, first.table, path
        self._sink, self._writer = sink, writer
        self._rows = self.size_bytes = 0

    def write(self, rows: pa.Table) -> None:
        """Add rows: a row group of Parquet, a batch of Arrow."""
        self._writer.write_table(rows, ROW_GROUP_ROWS)
        self._rows += len(rows)
        self.measure()

    def measure(self) -> None:
        """Look how large it has become."""
        self.size_bytes = self._sink.tell()

    @property
    def written(self) -> WrittenFile:
        """What there is of it by now."""
        return WrittenFile(self._run_id, self._table, self._path, self._rows, self.size_bytes)


def open_parquet(folder: Folder, first: TableRows) -> AbstractContextManager[TableFile]:
    """A Parquet file for rows like the first, which are not written yet; so many make a row group."""
    path = parquet_file(first.table, first.run_id, first.name)
    options = writer_options(first.rows.schema, len(first.rows))
    return _open(folder, first, path, partial(pq.ParquetWriter, schema=first.rows.schema, **options))


def open_waiting(folder: Files, first: TableRows) -> AbstractContextManager[TableFile]:
    """A file that is to be merged, in Arrow's own form, which costs a tenth; packed where it goes over a network."""
    options = pa.ipc.IpcWriteOptions(compression=None if folder.is_local else "zstd")
    path = waiting_file(first.table, first.run_id, first.name)
    return _open(folder, first, path, partial(pa.ipc.new_file, schema=first.rows.schema, options=options))


@contextmanager
def _open(folder: Files, first: TableRows, path: str, open_writer: _Open) -> Iterator[TableFile]:
    with folder.writer(path) as sink:
        with open_writer(sink) as writer:
            file = TableFile(first, path, sink, writer)
            yield file
        file.measure()


def write_parquet(folder: Folder, rows: TableRows) -> WrittenFile:
    """Write all rows of a file, over one of the same name."""
    ordered = rows.rows if rows.table == LEDGER else in_order(rows.rows)
    with open_parquet(folder, rows) as file:
        file.write(ordered)
    return file.written
