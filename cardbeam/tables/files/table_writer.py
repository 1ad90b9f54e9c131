"""Rows of one table as they come -> files, one for each part: of the ledger as it stays, of others one to be merged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack

from cardbeam.model.part import WrittenFile
from cardbeam.run_state.layout import LEDGER
from cardbeam.storage.folder import Folder
from cardbeam.tables.files.parquet_options import in_order
from cardbeam.tables.files.table_file import TableFile, TableRows, open_parquet, open_staging
from cardbeam.tables.parts.parsed_rows import ParsedRows


class TableWriter:
    """Writes the rows of one table; a file appears whole once rows of another part come, or at the end."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._file: TableFile | None = None
        self._part = ""

    def write(self, some: ParsedRows) -> Iterator[WrittenFile]:
        """Take rows; the file of the part before them, if they begin another."""
        part = f"{some.run_id}/{some.part}"
        if self._file is None or part != self._part:
            yield from self.end()
            self._file, self._part = self._stack.enter_context(self._open(some)), part
        self._file.write(some.rows if some.table == LEDGER else in_order(some.rows))

    def end(self) -> Iterator[WrittenFile]:
        """The file that is open, whole."""
        if self._file is not None:
            file, self._file = self._file, None
            self._stack.close()
            yield file.written

    def abandon(self) -> None:
        """Leave nothing of the file that is open: its bundle failed."""
        if self._file is not None:
            self._file = None
            failed = RuntimeError("abandoned")
            self._stack.__exit__(type(failed), failed, None)

    def _open(self, first: ParsedRows) -> AbstractContextManager[TableFile]:
        rows = TableRows(first.table, first.run_id, first.file_name, first.rows)
        return (open_parquet if first.table == LEDGER else open_staging)(self._folder, rows)
