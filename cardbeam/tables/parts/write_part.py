"""Part -> its files: the ledger's as it stays, for each other table one that waits to be merged.

Names follow from the part, and a file appears whole, so a bundle that runs twice writes the same files twice.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack

import pyarrow as pa

from cardbeam.model.part import Part, PartCounts, WrittenFile
from cardbeam.run_state.layout import LEDGER
from cardbeam.storage.folder import Files, Folder
from cardbeam.tables.files.parquet_options import in_order
from cardbeam.tables.files.table_file import TableFile, TableRows, open_parquet, open_staging
from cardbeam.tables.parts.read_part import Slice, add_up, read_part


def write_part(folder: Folder, part: Part, staging: Files | None = None) -> tuple[list[WrittenFile], PartCounts]:
    """Write a part's rows, and what it holds; files that wait go to a place of their own, if there is one."""
    with ExitStack() as stack:
        files = _Files(folder, staging or folder, part, stack)
        counts = list(map(files.write, read_part(folder, part)))
    return [file.written for file in files.by_table.values()], add_up(part, counts)


class _Files:
    """The files of a part, each opened when it gets its first rows."""

    def __init__(self, folder: Folder, staging: Files, part: Part, stack: ExitStack) -> None:
        self._folder, self._waiting, self._part, self._stack = folder, staging, part, stack
        self.by_table: dict[str, TableFile] = {}

    def write(self, some: Slice) -> PartCounts:
        """Add a slice to the files; what it holds."""
        for table, rows in some.tables.items():
            if table not in self.by_table:
                self.by_table[table] = self._stack.enter_context(self._open(table, rows))
            self.by_table[table].write(rows if table == LEDGER else in_order(rows))
        return some.counts

    def _open(self, table: str, rows: pa.Table) -> AbstractContextManager[TableFile]:
        part = self._part
        if table == LEDGER:
            return open_parquet(self._folder, TableRows(table, part.run_id, part.name, rows))
        return open_staging(self._waiting, TableRows(table, part.run_id, part.shown_name, rows))
