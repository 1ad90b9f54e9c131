"""The files of a table that the receipts name now: for readers that take a list of Parquet files.

A run appears in the list at once, with its receipt, and so does what replaces its files: no row is in two of them.
Files that were replaced since are there for `--keep_replaced_s` more, so a query over the list ends as it began.
"""

from __future__ import annotations

from cardbeam.storage.folder import open_folder
from cardbeam.storage.uris import local_path
from pipeline.catalog.table_ddl import TABLES
from pipeline.cli.exit_codes import UsageError
from pipeline.runs.registry import ended_runs, receipts


def current_files(output: str, table: str) -> list[str]:
    """The paths or URIs of the files that hold rows of a table: a document type, `dead_letters` or `ledger`.

    Raises:
        UsageError: there is no table of that name.
        DamagedFile: a receipt cannot be read.
    """
    if table not in TABLES:
        raise UsageError(f"there is no table {table!r}: expected one of {', '.join(TABLES)}")
    folder = open_folder(output)
    local = local_path(output)
    root = output.rstrip("/") if local is None else str(local.resolve())
    of_table = f"{TABLES[table].folder}/"
    found = receipts(folder, ended_runs(folder)).values()
    named = (file for receipt in found for file in receipt.files if file["rows"])
    return [f"{root}/{file['path']}" for file in named if file["path"].startswith(of_table)]
