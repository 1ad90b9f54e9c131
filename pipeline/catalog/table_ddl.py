"""`ddl`: the statements that make the tables in a query engine, from the field tables.

Nothing is copied: each table stands on the Parquet files where they are, with a partition for
each run that has its receipt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from cardbeam.run_state.layout import DEAD_LETTERS, DOCUMENTS, LEDGER, RUNS
from cardbeam.run_state.receipt import RECEIPT_FILE, WATCHING
from pipeline.catalog.dialects import DIALECTS, Dialect
from schemas.document_tables import schema_of
from schemas.documents import DOCUMENT_TYPES
from schemas.run_tables import DEAD_LETTERS_SCHEMA, LEDGER_SCHEMA

RUN_ID = pa.field("run_id", pa.string(), metadata={"doc": "The run that wrote the row; the partition"})


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its name in an engine, its folder in the output, its columns without the partition."""

    name: str
    folder: str
    schema: pa.Schema


TABLES: dict[str, Table] = {
    **{name: Table(name, f"{DOCUMENTS}/type={name}", schema_of(name)) for name in DOCUMENT_TYPES},
    DEAD_LETTERS: Table(DEAD_LETTERS, DEAD_LETTERS, DEAD_LETTERS_SCHEMA),
    LEDGER: Table(LEDGER, LEDGER, LEDGER_SCHEMA),
}
"""Every table, by its name in the engines."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a table is made, and what its files are."""

    dialect: Dialect
    database: str
    output: str
    run_ids: tuple[str, ...]
    files: tuple[str, ...]

    def named(self, table: Table) -> str:
        return f"{self.dialect.name(self.database)}.{self.dialect.name(table.name)}"

    def folder(self, table: Table) -> str:
        return self.dialect.text(f"{self.output}/{table.folder}/")


def column_lines(dialect: Dialect, fields: Sequence[pa.Field], comment: str) -> str:
    """Columns, one a line, each with its documentation; `comment` is a format, empty for none."""
    lines = []
    for field in fields:
        given = comment.format(dialect.text(field.metadata[b"doc"].decode())) if comment else ""
        lines.append(f"  {dialect.name(field.name)} {dialect.type_of(field.type)}{given}")
    return ",\n".join(lines)


def read_files(files: str, *more: str, columns: str = "union_by_name = true") -> str:
    """DuckDB's query for the rows of Parquet files, the run by their path; `filename` if it is asked for.

    By its last folder, not as a Hive partition: every folder above would be one, and hide a column of its name.
    """
    shown = ", ".join(["* EXCLUDE (filename)", *more])
    return (
        f"SELECT {shown}, regexp_extract(filename, '/run_id=([^/]+)/[^/]+$', 1) AS run_id\n"
        f"FROM read_parquet({files}, filename = true, hive_partitioning = false, {columns})"
    )


def _duckdb(place: _Place, table: Table) -> Iterator[str]:
    """A view, for DuckDB keeps no table over files: as it is asked, it reads those that receipts of ended runs name.

    A run in progress is left out: its files may change between the listing and the receipts.
    """
    name = place.named(table)
    files = place.dialect.text(f"{place.output}/{table.folder}/run_id=*/*.parquet")
    receipts = place.dialect.text(f"{place.output}/{RUNS}/*/{RECEIPT_FILE}")
    typed = ", ".join(f"CAST({place.dialect.name(f.name)} AS {place.dialect.type_of(f.type)}) AS "
                      f"{place.dialect.name(f.name)}" for f in [*table.schema, RUN_ID])  # fmt: skip
    root = place.dialect.text(f"{place.output}/")
    yield (
        f"CREATE OR REPLACE VIEW {name} AS\nSELECT {typed}\nFROM ({read_files(files, 'filename')})\n"
        f"WHERE filename IN (SELECT {root} || unnest(files).path FROM read_json({receipts}, "
        "columns = {status: 'VARCHAR', files: 'STRUCT(path VARCHAR)[]'}, hive_partitioning = false) "
        f"WHERE status <> {place.dialect.text(WATCHING)})"
    )
    for field in [*table.schema, RUN_ID]:
        given = place.dialect.text(field.metadata[b"doc"].decode())
        yield f"COMMENT ON COLUMN {name}.{place.dialect.name(field.name)} IS {given}"


def _trino(place: _Place, table: Table) -> Iterator[str]:
    """An external table of the Hive connector, which has no time zones: `called_at` is in UTC."""
    columns = column_lines(place.dialect, [*table.schema, RUN_ID], " COMMENT {}")
    yield (
        f"CREATE TABLE IF NOT EXISTS {place.named(table)} (\n{columns}\n) WITH (format = 'PARQUET', "
        f"external_location = {place.folder(table)}, partitioned_by = ARRAY['run_id'])"
    )
    for field in table.schema:  # a table of an earlier version lacks the columns that were added since
        column = column_lines(place.dialect, [field], " COMMENT {}").strip()
        yield f"ALTER TABLE {place.named(table)} ADD COLUMN IF NOT EXISTS {column}"
    for run_id in place.run_ids:
        database, name, value = map(place.dialect.text, (place.database, table.name, run_id))
        yield f"CALL system.register_partition({database}, {name}, ARRAY['run_id'], ARRAY[{value}])"


def _spark(place: _Place, table: Table) -> Iterator[str]:
    columns = column_lines(place.dialect, [*table.schema, RUN_ID], " COMMENT {}")
    yield (
        f"CREATE TABLE IF NOT EXISTS {place.named(table)} (\n{columns}\n) USING PARQUET PARTITIONED BY (`run_id`) "
        f"LOCATION {place.folder(table)}"
    )
    yield from _add_partitions(place, table)


def _athena(place: _Place, table: Table) -> Iterator[str]:
    columns = column_lines(place.dialect, list(table.schema), " COMMENT {}")
    partition = column_lines(place.dialect, [RUN_ID], " COMMENT {}").strip()
    yield (
        f"CREATE EXTERNAL TABLE IF NOT EXISTS {place.named(table)} (\n{columns}\n)\nPARTITIONED BY ({partition})\n"
        f"STORED AS PARQUET LOCATION {place.folder(table)}"
    )
    yield from _add_partitions(place, table)


def _add_partitions(place: _Place, table: Table) -> Iterator[str]:
    """A partition for each ended run; `MSCK REPAIR TABLE` would show half-finished ones too."""
    for run_id in place.run_ids:
        value = place.dialect.text(run_id)
        where = place.dialect.text(f"{place.output}/{table.folder}/run_id={run_id}/")
        yield f"ALTER TABLE {place.named(table)} ADD IF NOT EXISTS PARTITION (`run_id`={value}) LOCATION {where}"


def _bigquery(place: _Place, table: Table) -> Iterator[str]:
    """An external table over the files of the runs that have ended; made again after each, for it takes no partition
    by name: so a publication becomes visible at once."""
    columns = column_lines(place.dialect, list(table.schema), " OPTIONS (description = {})")
    folder = f"{place.output}/{table.folder}"
    named = [path for path in place.files if path.startswith(f"{table.folder}/")]
    uris = ", ".join(place.dialect.text(f"{place.output}/{path}") for path in named or [f"{table.folder}/run_id=*"])
    yield (
        f"CREATE OR REPLACE EXTERNAL TABLE {place.named(table)} (\n{columns}\n)\n"
        f"WITH PARTITION COLUMNS (`run_id` STRING)\nOPTIONS (format = 'PARQUET', uris = [{uris}], "
        f"hive_partition_uri_prefix = {place.dialect.text(folder)}, enable_list_inference = TRUE)"
    )


def _clickhouse(place: _Place, table: Table) -> Iterator[str]:
    """A view over the files of the runs that have ended; made again after each, for only these files are named."""
    dialect, fields = place.dialect, list(table.schema)
    rows = "s3" if "://" in place.output else "file"
    files = dialect.text(f"{place.output}/{table.folder}/run_id=*/*.parquet")
    structure = dialect.text(", ".join(f"{dialect.name(one.name)} {dialect.type_of(one.type)}" for one in fields))
    steps = (path.removeprefix(f"{table.folder}/run_id=").split("/") for path in place.files
             if path.startswith(f"{table.folder}/"))  # fmt: skip
    named = ", ".join(f"({dialect.text(run_id)}, {dialect.text(file)})" for run_id, file in steps)
    columns = column_lines(dialect, [*fields, RUN_ID], " COMMENT {}")
    yield (
        f"CREATE OR REPLACE VIEW {place.named(table)} (\n{columns}\n) AS\n"
        f"SELECT *, extract(_path, {dialect.text('/run_id=([^/]+)/[^/]+$')}) AS `run_id`\n"
        f"FROM {rows}({files}, 'Parquet', {structure})\n"
        + (f"WHERE (run_id, _file) IN ({named})" if named else "WHERE false")
    )


@dataclass(frozen=True, slots=True)
class _Engine:
    database: str
    """What makes the schema, a format."""
    statements: Callable[[_Place, Table], Iterator[str]]


_ENGINES: dict[str, _Engine] = {
    "duckdb": _Engine("CREATE SCHEMA IF NOT EXISTS {}", _duckdb),
    "trino": _Engine("CREATE SCHEMA IF NOT EXISTS {}", _trino),
    "spark": _Engine("CREATE DATABASE IF NOT EXISTS {}", _spark),
    "bigquery": _Engine("CREATE SCHEMA IF NOT EXISTS {}", _bigquery),
    "athena": _Engine("CREATE DATABASE IF NOT EXISTS {}", _athena),
    "clickhouse": _Engine("CREATE DATABASE IF NOT EXISTS {}", _clickhouse),
}


def statements(
    engine: str, database: str, output: str, run_ids: Sequence[str], files: Sequence[str] = ()
) -> Iterator[str]:
    """The statements that make every table in an engine, with a partition for each of the runs, or over the files.

    Raises:
        KeyError: the engine is not one of `DIALECTS`.
    """
    dialect = DIALECTS[engine]
    place = _Place(dialect, database, output.rstrip("/"), tuple(run_ids), tuple(files))
    yield _ENGINES[engine].database.format(dialect.name(database))
    for table in TABLES.values():
        yield from _ENGINES[engine].statements(place, table)
