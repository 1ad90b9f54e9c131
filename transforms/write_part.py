"""Part -> its files: the ledger's as it stays, for each other table one that waits to be merged.

Names follow from the part, and a file appears whole, so a bundle that runs twice writes the same files twice.
"""

from __future__ import annotations

from contextlib import ExitStack

from transforms.elements import Part, PartCounts, WrittenFile
from transforms.layout import LEDGER
from transforms.read_part import add_up, read_part
from transforms.storage import Folder
from transforms.table_file import TableFile, TableRows, open_parquet, open_waiting


def write_part(folder: Folder, part: Part, waiting: Folder | None = None) -> tuple[list[WrittenFile], PartCounts]:
    """Write a part's rows, and what it holds; files that wait go to a folder of their own, if there is one."""
    files: dict[str, TableFile] = {}
    counts: list[PartCounts] = []
    with ExitStack() as stack:
        for some in read_part(folder, part):
            for table, rows in some.tables.items():
                if table not in files:
                    first = TableRows(table, part.run_id, part.name, rows)
                    opened = open_parquet(folder, first) if table == LEDGER else open_waiting(waiting or folder, first)
                    files[table] = stack.enter_context(opened)
                files[table].write(rows)
            counts.append(some.counts)
    return [file.written for file in files.values()], add_up(counts)
