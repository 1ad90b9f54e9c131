"""An output folder -> a DuckDB connection: one view for each table, over the files of the runs that have ended.

Which files those are stands in the receipts, so a view neither shows half a run nor a file that was left behind, and
nothing is listed in a bucket but `runs/`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from cardbeam.run_state.layout import LEDGER, run_file, run_id_of
from cardbeam.run_state.receipt import RECEIPT_FILE, decode_receipt, read_receipt
from cardbeam.run_state.replaced_files import runs_with_replaced, unnamed_files
from cardbeam.storage.damaged_file import DamagedFile, warn
from cardbeam.storage.folder import Folder, LocalFolder, open_folder
from cardbeam.storage.read_parquet import opened_parquet
from pipeline.catalog.card_views import CARD_NUMBER, MACROS
from pipeline.catalog.cost_view import COST
from pipeline.catalog.dialects import DIALECTS
from pipeline.catalog.dimensions import add_dimensions
from pipeline.catalog.masked_views import HMAC, MASKED_TABLES, masked_view
from pipeline.catalog.table_ddl import RUN_ID, TABLES, Table, read_files
from pipeline.catalog.unfinished_tables import make_tables, runs_in_journal
from pipeline.catalog.view import View
from pipeline.catalog.view_sql import RUNS_TABLE, TABLE_COMMENTS, VIEWS
from pipeline.cli.exit_codes import UsageError
from pipeline.runs.registry import ended_runs

if TYPE_CHECKING:
    import duckdb

_DUCKDB = DIALECTS["duckdb"]
_READ_AT_ONCE = 16
_ATTEMPTS = 3
_ASIDE = " set aside"


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
    make = _with_views if only_tables is None else partial(_with_tables, names=only_tables)
    if masked_by is not None:
        make = partial(_with_masked, key=masked_by)
    for attempt in range(1, _ATTEMPTS + 1):
        receipts = _receipts(folder)
        files = _unfinished_files(folder, scratch) if unfinished else _files_of(receipts, only_run)
        if not files:
            for run_id in [only_run] if only_run else ended_runs(folder):
                read_receipt(folder, run_id)
            raise UsageError(f"--output {output} holds no run that has ended; run a backfill into it first")
        try:
            connection = make(folder, files, scratch)
            break
        except (duckdb.Error, FileNotFoundError) as error:  # at this point it tells of files, not of what is in them
            if attempt < _ATTEMPTS and _receipts(folder) != receipts:
                continue  # the files are those of an older publication
            whole = _whole(folder, files)
            if whole == files:
                raise UsageError(f"--output {output} is not whole: {str(error).splitlines()[0]}") from None
            connection = make(folder, whole, scratch)
            break
    if masked_by is None:
        connection.execute(RUNS_TABLE, [[receipt.decode() for receipt in receipts]])
        connection.execute("COMMENT ON TABLE runs IS 'The receipts, one row for each run'")
        if only_tables is None:
            with _set_aside(connection, [LEDGER]):
                _create(connection, COST)
    _lock(connection, folder, scratch)
    return connection


def connect_empty() -> duckdb.DuckDBPyConnection:
    """A connection whose views have all columns and no row: it tells whether a query is valid.

    Raises:
        UsageError: DuckDB is not installed.
    """
    try:
        connection = _with_views(LocalFolder("."), {}, "")
    except ImportError:
        raise UsageError("DuckDB is not installed; pip install 'cardbeam[sql]'") from None
    connection.execute(RUNS_TABLE, [[]])
    _create(connection, COST)
    return connection


def _lock(connection: duckdb.DuckDBPyConnection, folder: Folder, scratch: str) -> None:
    """Have queries reach the output and the scratch folder alone; no statement takes this back."""
    from pipeline.catalog.duckdb_files import SCHEME  # noqa: PLC0415  # fsspec is of the extra

    root = str(Path(folder.root).absolute()) if folder.is_local else f"{SCHEME}://"
    connection.execute("SET allowed_directories = ?", [[root, *([scratch] if scratch else [])]])
    connection.execute("SET enable_external_access = false")


def _with_views(folder: Folder, files: _Files, scratch: str) -> duckdb.DuckDBPyConnection:
    connection = _with_tables(folder, files, scratch, TABLES)
    for table in TABLES.values():
        _comment_columns(connection, table)
    for statement in MACROS:
        connection.execute(statement)
    with _set_aside(connection, TABLES):
        for view in VIEWS:
            _create(connection, view)
    add_dimensions(connection)
    return connection


def _with_masked(folder: Folder, files: _Files, scratch: str, key: bytes) -> duckdb.DuckDBPyConnection:
    connection = _opened(scratch)
    for statement in (CARD_NUMBER, HMAC):
        connection.execute(statement)
    with _reachable(connection, folder, files) as root:
        for name in MASKED_TABLES:
            table = TABLES[name]
            paths = [_at(root, path) for path in files.get(table.folder, ())]
            _create(connection, masked_view(table, f"({_rows_of(table, paths)})", key))
    return connection


def _opened(scratch: str) -> duckdb.DuckDBPyConnection:
    import duckdb  # noqa: PLC0415  # an extra

    connection = duckdb.connect(config={**_CLOSED, "temp_directory": scratch})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _with_tables(folder: Folder, files: _Files, scratch: str, names: Collection[str]) -> duckdb.DuckDBPyConnection:
    connection = _opened(scratch)
    with _reachable(connection, folder, files) as root:
        for name in names:
            table = TABLES[name]
            _make_view(connection, table, [_at(root, path) for path in files.get(table.folder, ())])
    return connection


def _at(root: str, path: str) -> str:
    """Where DuckDB opens a file of the output; one that was made beside it has a place of its own."""
    return path if _is_beside(path) else f"{root}/{path}"


def _is_beside(path: str) -> bool:
    return path.startswith("/")


def _whole(folder: Folder, files: _Files) -> _Files:
    """The files that are there and whole, as far as their ends tell; a warning names each of the others."""
    paths = [path for of_table in files.values() for path in of_table]  # those made beside the output are absolute
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        faults = dict(zip(paths, pool.map(partial(_fault, folder), paths), strict=True))
    for fault in filter(None, faults.values()):
        warn(fault)
    return {
        table: {path: size_bytes for path, size_bytes in of_table.items() if faults[path] is None}
        for table, of_table in files.items()
    }


def _fault(folder: Folder, path: str) -> DamagedFile | None:
    try:
        with opened_parquet(LocalFolder("/") if _is_beside(path) else folder, path):
            return None
    except FileNotFoundError:
        return DamagedFile.of(path, "is missing")
    except DamagedFile as error:
        return error


def _receipts(folder: Folder) -> list[bytes]:
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        return [receipt for receipt in pool.map(partial(_receipt, folder), ended_runs(folder)) if receipt]


def _receipt(folder: Folder, run_id: str) -> bytes:
    """As it stands; nothing where it is gone since it was listed, or damaged, of which a warning tells."""
    try:
        content = folder.read(run_file(run_id, RECEIPT_FILE))
        decode_receipt(run_id, content)
    except FileNotFoundError:
        return b""
    except DamagedFile as error:
        warn(error)
        return b""
    return content


_Files = Mapping[str, Mapping[str, int]]
"""Paths of files and their sizes in bytes, by table folder."""


def _files_of(receipts: list[bytes], only_run: str) -> _Files:
    """A file without a row is no use to a query."""
    runs = [run for run in map(orjson.loads, receipts) if not only_run or run["run_id"] == only_run]
    written: list[dict[str, Any]] = [file for run in runs for file in run["files"]]
    return _by_table((file["path"], file["bytes"] if file["rows"] else None) for file in written)


def _unfinished_files(folder: Folder, scratch: str) -> _Files:
    """All that is written, and of runs whose answers are in a journal the tables made of it, if there is a place."""
    found = {table: dict(of_table) for table, of_table in _listed_files(folder).items()}
    for number, run_id in enumerate(runs_in_journal(folder) if scratch else ()):
        beside = LocalFolder(f"{scratch}/unfinished/{number}")
        try:
            files = make_tables(folder, run_id, beside)
        except DamagedFile as error:
            warn(error)
            continue
        for of_table in found.values():
            for path in [path for path in of_table if run_id_of(path) == run_id]:
                del of_table[path]
        for file in files:
            of_table = found.setdefault(_table_of(file.path), {})
            of_table[f"{beside.root}/{file.path}" if file.is_beside else file.path] = file.size_bytes
    return found


def _listed_files(folder: Folder) -> _Files:
    replaced = frozenset(path for run_id in runs_with_replaced(folder) for path in unnamed_files(folder, run_id))
    found = (file for table in TABLES.values() for file in folder.list(table.folder) if file.path not in replaced)
    return _by_table((file.path, file.size_bytes if file.path.endswith(".parquet") else None) for file in found)


def _by_table(files: Iterable[tuple[str, int | None]]) -> _Files:
    """Files whose size is None are left out, their tables are not."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for path, size_bytes in files:
        of_table = found[_table_of(path)]
        if size_bytes is not None:
            of_table[path] = size_bytes
    return found


def _table_of(path: str) -> str:
    return path.split("/run_id=", maxsplit=1)[0]


@contextmanager
def _reachable(connection: duckdb.DuckDBPyConnection, folder: Folder, files: _Files) -> Iterator[str]:
    """What stands before a path for DuckDB to open it; within it, views are made at little cost.

    Queries keep the ends of the files that they open. A view opens all of its table's to be made: of local files these
    are not kept, which would take a gigabyte after years.
    """
    keep_ends = "SET parquet_metadata_cache = true"
    if folder.is_local:
        yield str(Path(folder.root).absolute())
        connection.execute(keep_ends)
        return
    connection.execute(keep_ends)
    from pipeline.catalog.duckdb_files import SCHEME, FolderFiles  # noqa: PLC0415  # fsspec is of the extra

    sizes_bytes = {
        path: size_bytes for of_table in files.values() for path, size_bytes in of_table.items() if not _is_beside(path)
    }
    in_bucket = FolderFiles(folder, sizes_bytes)
    connection.register_filesystem(in_bucket)
    with in_bucket.read_ends():
        yield f"{SCHEME}:/"


def _make_view(connection: duckdb.DuckDBPyConnection, table: Table, paths: list[str]) -> None:
    _create(connection, View(table.name, TABLE_COMMENTS[table.name], _rows_of(table, paths)))


def _rows_of(table: Table, paths: list[str]) -> str:
    """The columns of the installed version, null where a file has none, then what only other versions' files have.

    Without a file there is no row.
    """
    fields = [*table.schema, RUN_ID]
    nulls = ", ".join(f"NULL::{_DUCKDB.type_of(field.type)} AS {_DUCKDB.name(field.name)}" for field in fields)
    read = ""
    if paths:
        listed = ", ".join(map(_DUCKDB.text, paths))
        read = f" UNION ALL BY NAME {read_files(f'[{listed}]')}"
    return f"(SELECT {nulls} WHERE false){read}"


@contextmanager
def _set_aside(connection: duckdb.DuckDBPyConnection, names: Collection[str]) -> Iterator[None]:
    """Have empty tables of the same columns in the place of views: what is made over these opens no file.

    DuckDB binds a view again as it is used, and refuses it if its columns are others by then.
    """
    columns = {name: _columns_of(connection, name) for name in names}
    for name, given in columns.items():
        connection.execute(f'ALTER VIEW "{name}" RENAME TO "{name}{_ASIDE}"')
        connection.execute(f'CREATE TABLE "{name}" ({given})')
    yield
    for name in names:
        connection.execute(f'DROP TABLE "{name}"')
        connection.execute(f'ALTER VIEW "{name}{_ASIDE}" RENAME TO "{name}"')


def _columns_of(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    """Names and types, as CREATE TABLE takes them and as the view was made: it is not bound for it."""
    found = connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index", [name]
    )
    return ", ".join(f"{_quoted(column)} {kind}" for column, kind in found.fetchall())


def _quoted(column: str) -> str:
    """Whatever it is: a file of another version, or of a stranger, may have any."""
    return _DUCKDB.name(column.replace('"', '""'))


def _comment_columns(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    for field in [*table.schema, RUN_ID]:
        given = _DUCKDB.text(field.metadata[b"doc"].decode())
        connection.execute(f'COMMENT ON COLUMN "{table.name}"."{field.name}" IS {given}')


def _create(connection: duckdb.DuckDBPyConnection, view: View) -> None:
    connection.execute(f'CREATE VIEW "{view.name}" AS {view.query}')
    connection.execute(f'COMMENT ON VIEW "{view.name}" IS {_DUCKDB.text(view.comment)}')
