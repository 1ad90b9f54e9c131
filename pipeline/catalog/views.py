"""An output folder -> a DuckDB connection: one view for each table, over the files of the runs that have ended.

Which files those are stands in the receipts, so a view neither shows half a run nor a file that was left behind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cardbeam.run_state.receipt import read_receipt
from cardbeam.storage.folder import Folder, LocalFolder, open_folder
from pipeline.catalog import table_views
from pipeline.catalog.dialects import DIALECTS
from pipeline.catalog.table_ddl import RUN_ID, TABLES, Table
from pipeline.catalog.table_files import TableFile, TableFiles, is_beside, read_table_files, whole_files
from pipeline.catalog.table_views import NO_ROWS, Rows, rows_of, set_files
from pipeline.catalog.view_queries.card_views import CARD_NUMBER, MACROS
from pipeline.catalog.view_queries.cost_view import COST
from pipeline.catalog.view_queries.dimensions import add_dimensions
from pipeline.catalog.view_queries.masked_views import HMAC, MASKED_TABLES, masked_view
from pipeline.catalog.view_queries.view import View
from pipeline.catalog.view_queries.view_sql import RUNS_TABLE, TABLE_COMMENTS, VIEWS
from pipeline.cli.exit_codes import UsageError
from pipeline.runs.registry import ended_runs

if TYPE_CHECKING:
    import duckdb

_DUCKDB = DIALECTS["duckdb"]

_CLOSED = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}
"""DuckDB downloads and loads nothing by itself: all that is needed is built in."""


def connect(
    output: str,
    *,
    unfinished: bool = False,
    only_run: str = "",
    only_tables: Collection[str] | None = None,
    masked_by: bytes | None = None,
    scratch: str = "",
) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection, times in UTC, with a view for each table of the output.

    The views are each document type, `documents`, `dead_letters`, `dead_letters_open`, `ledger`, `cost`, `cards` and
    `latest_…`; `runs` is a table. `unfinished` shows runs without a receipt too: what they answered so far is made
    tables in `scratch`;
    with `only_run` the views but `runs` show that one, and no other file is opened; with `only_tables` there are these
    tables and `runs` alone, without the comments of their columns, which takes a tenth of the time. With `masked_by`,
    the key of `person_key`, there are the masked views alone.

    Queries reach no file but those of the output. `scratch` is a folder for what does not fit into memory, and the only
    other one that they may write to; without it what does not fit is an error.

    A file that is missing or damaged is left out, and a warning names it.

    Raises:
        UsageError: DuckDB is not installed, or no run has ended there.
        DamagedFile: the only receipts that are there are damaged.
    """
    try:
        import duckdb  # noqa: PLC0415  # an extra
    except ImportError:
        raise UsageError("DuckDB is not installed; pip install 'cardbeam[sql]'") from None
    folder = open_folder(output)
    receipts, files = read_table_files(folder, only_run=only_run, unfinished=unfinished, scratch=scratch)
    if not files:
        for run_id in [only_run] if only_run else ended_runs(folder):
            read_receipt(folder, run_id)
        raise UsageError(f"--output {output} holds no run that has ended; run a backfill into it first")
    make = partial(_connection, folder, receipts, scratch=scratch, only_tables=only_tables, masked_by=masked_by)
    try:
        connection = make(files)
    except (duckdb.Error, FileNotFoundError) as error:  # at this point it tells of files, not of what is in them
        whole = whole_files(folder, files)
        if whole == files:
            raise UsageError(f"--output {output} is not whole: {str(error).splitlines()[0]}") from None
        connection = make(whole)
    _lock(connection, folder, scratch)
    return connection


def connect_empty() -> duckdb.DuckDBPyConnection:
    """A connection whose views have all columns and no row: it tells whether a query is valid.

    Raises:
        UsageError: DuckDB is not installed.
    """
    try:
        return _connection(LocalFolder("."), [], {})
    except ImportError:
        raise UsageError("DuckDB is not installed; pip install 'cardbeam[sql]'") from None


def leave_out_damaged(connection: duckdb.DuckDBPyConnection, output: str) -> bool:
    """Have the views read whole files alone, after a query failed; whether any was left out, of which warnings tell."""
    folder = open_folder(output)
    return table_views.leave_out_damaged(connection, folder, _root(folder))


def _root(folder: Folder) -> str:
    """What stands before a path for DuckDB to open it."""
    if folder.is_local:
        return str(Path(folder.root).absolute())
    from pipeline.catalog.duckdb_files import SCHEME  # noqa: PLC0415  # fsspec is of the extra

    return f"{SCHEME}:/"


def _lock(connection: duckdb.DuckDBPyConnection, folder: Folder, scratch: str) -> None:
    """Have queries reach the output and the scratch folder alone; no statement takes this back."""
    root = _root(folder) if folder.is_local else f"{_root(folder)}/"
    connection.execute("SET allowed_paths = ?", [[str(NO_ROWS)]])
    connection.execute("SET allowed_directories = ?", [[root, *([scratch] if scratch else [])]])
    connection.execute("SET enable_external_access = false")


def _connection(
    folder: Folder,
    receipts: list[bytes],
    files: TableFiles,
    *,
    scratch: str = "",
    only_tables: Collection[str] | None = None,
    masked_by: bytes | None = None,
) -> duckdb.DuckDBPyConnection:
    """All views are made while they read no file, and read those that are there from then on."""
    connection = _opened(scratch)
    names = MASKED_TABLES if masked_by is not None else TABLES if only_tables is None else only_tables
    by_uri = {name: _by_uri(folder, files, TABLES[name]) for name in names}
    with _reachable(connection, folder, files):
        rows = {name: rows_of(connection, TABLES[name], by_uri[name]) for name in names}
    if masked_by is not None:
        _add_masked(connection, rows, masked_by)
    else:
        connection.execute(RUNS_TABLE, [[receipt.decode() for receipt in receipts]])
        connection.execute("COMMENT ON TABLE runs IS 'The receipts, one row for each run'")
        if only_tables is None:
            _add_joined(connection, rows)
            add_dimensions(connection)
        _add_tables(connection, rows)
        if only_tables is None:
            for table in TABLES.values():
                _comment_columns(connection, table)
    for name in names:
        set_files(connection, TABLES[name], by_uri[name])
    return connection


def _by_uri(folder: Folder, files: TableFiles, table: Table) -> dict[str, TableFile]:
    root = _root(folder)
    return {path if is_beside(path) else f"{root}/{path}": file for path, file in files.get(table.folder, {}).items()}


def _opened(scratch: str) -> duckdb.DuckDBPyConnection:
    import duckdb  # noqa: PLC0415  # an extra

    connection = duckdb.connect(config={**_CLOSED, "temp_directory": scratch})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


@contextmanager
def _reachable(connection: duckdb.DuckDBPyConnection, folder: Folder, files: TableFiles) -> Iterator[None]:
    """Within it, and afterwards, DuckDB opens the files. It keeps the ends of those that queries open, not of those
    that tell columns: of an output whose receipts tell no fingerprints these are all, a gigabyte after years."""
    if not folder.is_local:
        from pipeline.catalog.duckdb_files import FolderFiles  # noqa: PLC0415  # fsspec is of the extra

        of_all = (item for of_table in files.values() for item in of_table.items())
        sizes_bytes = {path: file.size_bytes for path, file in of_all if not is_beside(path)}
        connection.register_filesystem(FolderFiles(folder, sizes_bytes))
    yield
    connection.execute("SET parquet_metadata_cache = true")


def _add_tables(connection: duckdb.DuckDBPyConnection, rows: Mapping[str, Rows]) -> None:
    for name, of_table in rows.items():
        _create(connection, View(name, TABLE_COMMENTS[name], of_table.query))


def _add_joined(connection: duckdb.DuckDBPyConnection, rows: Mapping[str, Rows]) -> None:
    """Views over the tables, in whose place are empty ones of the same columns meanwhile: to bind these costs nothing.

    DuckDB binds a view again as it is used, and refuses it if its columns are others by then.
    """
    for statement in MACROS:
        connection.execute(statement)
    connection.execute("; ".join(f'CREATE TABLE "{name}" ({of_table.columns})' for name, of_table in rows.items()))
    for view in (*VIEWS, COST):
        _create(connection, view)
    connection.execute("; ".join(f'DROP TABLE "{name}"' for name in rows))


def _add_masked(connection: duckdb.DuckDBPyConnection, rows: Mapping[str, Rows], key: bytes) -> None:
    for statement in (CARD_NUMBER, HMAC):
        connection.execute(statement)
    for name, of_table in rows.items():
        _create(connection, masked_view(TABLES[name], f"({of_table.query})", key))


def _comment_columns(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    given = ((field.name, _DUCKDB.text(field.metadata[b"doc"].decode())) for field in [*table.schema, RUN_ID])
    connection.execute("; ".join(f'COMMENT ON COLUMN "{table.name}"."{name}" IS {text}' for name, text in given))


def _create(connection: duckdb.DuckDBPyConnection, view: View) -> None:
    connection.execute(f'CREATE VIEW "{view.name}" AS {view.query}')
    connection.execute(f'COMMENT ON VIEW "{view.name}" IS {_DUCKDB.text(view.comment)}')
