"""The view of each table in DuckDB: over a list of files that is a variable, with columns that no file tells.

So a view is made, commented and joined without opening a file, whatever the number of runs. DuckDB opens the files of
a table as a query reads them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cardbeam.storage.folder import Folder
from cardbeam.storage.read_parquet import schema_fingerprint
from pipeline.catalog.dialects import DIALECTS
from pipeline.catalog.table_ddl import RUN_ID, TABLES, Table, read_files
from pipeline.catalog.table_files import TableFile, damaged_files

if TYPE_CHECKING:
    import duckdb

NO_ROWS = Path(__file__).parent / "data" / "no_rows.parquet"
"""What a table without a file reads: DuckDB takes no empty list of files. Its column is of no matter."""
_DUCKDB = DIALECTS["duckdb"]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a table: a query that reads no file until `set_files`, and its columns as CREATE TABLE takes them."""

    query: str
    columns: str


def rows_of(connection: duckdb.DuckDBPyConnection, table: Table, files: Mapping[str, TableFile]) -> Rows:
    """The rows of a table in some files, which are by their URI.

    They have the columns of the installed version, null where a file has none, then what only other versions' files
    have. For these one file of each fingerprint is opened, and every file without one.
    """
    installed = schema_fingerprint(table.schema)
    others = {file.schema or uri: uri for uri, file in files.items() if file.schema != installed}
    columns = {field.name: _DUCKDB.type_of(field.type) for field in table.schema}
    if others:
        columns = _columns_with(connection, columns, others.values())
    listed = ", ".join(_column(name, kind) for name, kind in columns.items())
    connection.execute(f"SET VARIABLE columns_of_{table.name} = MAP {{{listed}}}")
    query = read_files(f"getvariable('{_variable(table)}')", columns=f"schema = getvariable('columns_of_{table.name}')")
    set_files(connection, table, [])
    typed = {**columns, RUN_ID.name: _DUCKDB.type_of(RUN_ID.type)}
    return Rows(query, ", ".join(f"{_quoted(name)} {kind}" for name, kind in typed.items()))


def set_files(connection: duckdb.DuckDBPyConnection, table: Table, uris: Collection[str]) -> None:
    """Have the view read these files."""
    connection.execute(f"SET VARIABLE {_variable(table)} = ?", [list(uris) or [str(NO_ROWS)]])


def leave_out_damaged(connection: duckdb.DuckDBPyConnection, folder: Folder, root: str) -> bool:
    """Have the views read whole files alone, after a query met one that is not; whether any was left out, of which
    warnings tell. `root` is what stands before a path for DuckDB."""
    found = False
    for table in TABLES.values():
        ((listed,),) = connection.execute(f"SELECT getvariable('{_variable(table)}')").fetchall()
        uris = {uri.removeprefix(f"{root}/"): uri for uri in listed or () if uri != str(NO_ROWS)}
        if lost := damaged_files(folder, uris):
            set_files(connection, table, [uri for path, uri in uris.items() if path not in lost])
            found = True
    return found


def _variable(table: Table) -> str:
    return f"files_of_{table.name}"


def _columns_with(
    connection: duckdb.DuckDBPyConnection, installed: Mapping[str, str], uris: Iterable[str]
) -> dict[str, str]:
    """The columns of the installed version and those of some files, each of a type that holds both."""
    nulls = ", ".join(f"NULL::{kind} AS {_DUCKDB.name(name)}" for name, kind in installed.items())
    listed = ", ".join(map(_DUCKDB.text, uris))
    read = read_files(f"[{listed}]")
    found = connection.execute(f"DESCRIBE (SELECT {nulls} WHERE false) UNION ALL BY NAME {read}").fetchall()
    return {name: kind for name, kind, *_ in found if name != RUN_ID.name}


def _quoted(column: str) -> str:
    """Whatever it is: a file of another version, or of a stranger, may have any."""
    return _DUCKDB.name(column.replace('"', '""'))


def _column(name: str, kind: str) -> str:
    return f"{_DUCKDB.text(name)}: {{name: {_DUCKDB.text(name)}, type: {_DUCKDB.text(kind)}, default_value: NULL}}"
