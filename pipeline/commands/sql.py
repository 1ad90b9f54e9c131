"""`sql`: a query over the tables of an output folder, or a prompt for many."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cardbeam.config.options import validate_output
from cardbeam.storage.uris import local_path
from pipeline.catalog.views import connect
from pipeline.cli.exit_codes import EXIT_COMPLETE, UsageError
from pipeline.cli.layered_options import layer
from pipeline.cli.options import add_config, known_options
from pipeline.cli.parser import Parser

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

_SHOWN_ROWS = 10_000
_PROMPT, _MORE = "sql> ", "...> "
_HELP = """Statements end with a semicolon; Ctrl-C drops one, Ctrl-D leaves. SHOW TABLES; lists the views, DESCRIBE
passport; the columns of one, SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'passport'; what
they mean."""


def main(arguments: Sequence[str]) -> int:
    """Run SQL over the tables of an output folder with DuckDB; without a query, prompt for it."""
    asked = _parse(arguments)
    for problem in validate_output(asked.output):
        raise UsageError(problem)
    if (path := local_path(asked.output)) is not None and not path.exists():
        raise UsageError(f"--output {asked.output} does not exist")
    connection = connect(asked.output, unfinished=asked.unfinished)
    write = _WRITERS[asked.format]
    if asked.query is None and sys.stdin.isatty():
        _prompt(connection, write)
    else:
        _run(connection, asked.query or sys.stdin.read(), write)
    return EXIT_COMPLETE


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(prog="run.sh sql", description=main.__doc__)
    parser.add_argument("--output", required=True, help="The output folder of a backfill, local or in a bucket.")
    parser.add_argument("--format", choices=tuple(_WRITERS), default="table", help="Default: %(default)s.")
    parser.add_argument("--unfinished", action="store_true", help="Show runs without a receipt too, as far as they go.")
    parser.add_argument("query", nargs="?", help="SQL; SHOW TABLES lists the views. Default: a prompt.")
    add_config(parser)
    return parser.parse_all(layer("sql", arguments, known_options(parser, has_runner=False)).arguments)


def _run(connection: DuckDBPyConnection, script: str, write: Callable[[DuckDBPyRelation], None]) -> None:
    """Run each statement of a script and write what it gives.

    Raises:
        UsageError: DuckDB does not take it, in DuckDB's words unless these quote a value.
    """
    import duckdb  # noqa: PLC0415  # an extra

    try:
        for statement in connection.extract_statements(script):
            relation = connection.sql(statement.query)
            if relation is not None:
                write(relation)
    except (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException) as error:
        message = str(error).split(":")[0]
        raise UsageError(f"{message} in a value, which is not shown for it may be of a card; try TRY_CAST") from None
    except duckdb.Error as error:
        raise UsageError(str(error)) from None


def _prompt(connection: DuckDBPyConnection, write: Callable[[DuckDBPyRelation], None]) -> None:
    print(_HELP)
    for script in _typed():
        try:
            _run(connection, script, write)
        except UsageError as error:
            print(error, file=sys.stderr)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)


def _typed() -> Iterator[str]:
    """What is typed, statement by statement, with the line editing that Python has here."""
    with suppress(ImportError):
        import readline  # noqa: F401, PLC0415  # editing and history for input(); not on every platform
    lines: list[str] = []
    while True:
        try:
            lines.append(input(_MORE if lines else _PROMPT))
        except EOFError:
            print()
            return
        except KeyboardInterrupt:  # drops what was begun, as shells do
            print()
            lines = []
            continue
        if lines[-1].rstrip().endswith(";"):
            yield "\n".join(lines)
            lines = []


def _table(relation: DuckDBPyRelation) -> None:
    relation.show(max_rows=_SHOWN_ROWS)


def _copied(file_format: str) -> Callable[[DuckDBPyRelation], None]:
    """A writer by DuckDB's COPY, through a file: opening standard output by name would cut off what `>>` appends to."""

    def write(relation: DuckDBPyRelation) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch, "result")
            relation.query("result", f"COPY result TO '{path}' (FORMAT {file_format})")
            with path.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.flush()

    return write


_WRITERS: dict[str, Callable[[DuckDBPyRelation], None]] = {
    "table": _table,
    "csv": _copied("csv, HEADER"),
    "json": _copied("json"),
    "parquet": _copied("parquet"),
}
