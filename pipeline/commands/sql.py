"""`sql`: a query over the tables of an output folder, or a prompt for many."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cardbeam.config.options import validate_output
from cardbeam.storage.folder import open_folder
from cardbeam.storage.uris import local_path
from pipeline.catalog.unfinished_tables import runs_in_journal
from pipeline.catalog.view_queries.masked_views import read_key
from pipeline.catalog.views import connect, leave_out_damaged
from pipeline.cli.exit_codes import EXIT_COMPLETE, UsageError
from pipeline.cli.layered_options import layer
from pipeline.cli.options import add_config, known_options
from pipeline.cli.parser import Parser
from pipeline.cli.private_folder import private_folder
from pipeline.cli.terminal.plain_text import CONTROLS, SYMBOLS
from pipeline.cli.terminal.program import program

if TYPE_CHECKING:
    import duckdb
    from duckdb import DuckDBPyConnection, DuckDBPyRelation, Statement

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
    if asked.unfinished and (runs := runs_in_journal(open_folder(asked.output))):
        print(f"not ended, shown as far as it is answered: run {', '.join(runs)}", file=sys.stderr)
    with private_folder() as scratch:
        key = read_key() if asked.masked else None
        connection = connect(asked.output, unfinished=asked.unfinished, masked_by=key, scratch=scratch)
        session = _Session(connection, asked.output, scratch, asked.format)
        if asked.query is None and sys.stdin.isatty():
            _prompt(session)
        else:
            _run(session, asked.query or sys.stdin.read())
    return EXIT_COMPLETE


@dataclass(frozen=True, slots=True)
class _Session:
    """A connection that writes into its scratch folder alone, and the format that results are printed in."""

    connection: DuckDBPyConnection
    output: str
    scratch: str
    format: str


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(prog=f"{program()} sql", description=main.__doc__)
    parser.add_argument("--output", required=True, help="The output folder of a backfill, local or in a bucket.")
    parser.add_argument("--format", choices=tuple(_FORMATS), default="table", help="Default: %(default)s.")
    parser.add_argument(
        "--unfinished", action="store_true", help="Show runs that have not ended too: what they answered until now."
    )
    parser.add_argument(
        "--masked",
        action="store_true",
        help="Have views without numbers, names, addresses, boxes and images alone, named masked_…; person_key is an "
        "HMAC of the personal number under CARDBEAM_PSEUDONYM_KEY.",
    )
    parser.add_argument("query", nargs="?", help="SQL; SHOW TABLES lists the views. Default: a prompt.")
    add_config(parser)
    return parser.parse_all(layer("sql", arguments, known_options(parser, has_runner=False)).arguments)


def _run(session: _Session, script: str) -> None:
    """Run each statement of a script and write what it gives.

    Raises:
        UsageError: DuckDB does not take it, in DuckDB's words unless these may quote a value.
    """
    import duckdb  # noqa: PLC0415  # an extra

    shown = (
        duckdb.BinderException,
        duckdb.CatalogException,
        duckdb.IOException,
        duckdb.NotImplementedException,
        duckdb.OutOfMemoryException,
        duckdb.ParserException,
        duckdb.PermissionException,
    )
    try:
        for statement in session.connection.extract_statements(script):
            failed = _failure_of_file(session, statement)
            if failed is not None:
                if not leave_out_damaged(session.connection, session.output):
                    raise failed
                _run_one(session, statement)
    except shown as error:
        raise UsageError(str(error)) from None
    except duckdb.Error as error:
        message = str(error).split(":")[0]
        raise UsageError(f"{message} in a value, which is not shown for it may be of a card; try TRY_CAST") from None


def _failure_of_file(session: _Session, statement: Statement) -> duckdb.Error | None:
    """Run a statement; the error of one that may be a file's, which is damaged and as long as it was.

    Without its traceback, which holds the result that DuckDB has open.
    """
    import duckdb  # noqa: PLC0415  # an extra

    try:
        _run_one(session, statement)
    except duckdb.Error as error:
        if type(error) not in (duckdb.Error, duckdb.InvalidInputException, duckdb.IOException):
            raise
        return error.with_traceback(None)
    return None


def _run_one(session: _Session, statement: Statement) -> None:
    import duckdb  # noqa: PLC0415  # an extra

    if statement.type == duckdb.StatementType.COPY:
        _copy(session, statement.query)
    elif (relation := session.connection.sql(statement.query)) is not None:
        _write(session, relation)


def _copy(session: _Session, statement: str) -> None:
    """Run COPY … TO into the scratch folder, and move what it wrote to where it was to go.

    No other statement can write outside, so no function or setting that a query names can either.
    """
    if not (found := list(_COPY_TO.finditer(statement))):
        session.connection.sql(statement)
        return
    target, beside = found[-1], Path(session.scratch, uuid.uuid4().hex)
    session.connection.sql(f"{statement[: target.start('path')]}{beside}{statement[target.end('path') :]}")
    wanted = Path(target["path"].replace("''", "'"))
    if beside.is_dir() and wanted.exists():
        raise UsageError(f"{wanted} exists already: COPY to another folder, or remove it first")
    try:
        shutil.move(beside, wanted)
    except OSError as error:
        raise UsageError(f"COPY cannot write its result: {error}") from None


def _prompt(session: _Session) -> None:
    print(_HELP)
    for script in _typed():
        try:
            _run(session, script)
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


def _write(session: _Session, relation: DuckDBPyRelation) -> None:
    """Print a result. Through a file: to open standard output by name would cut off what `>>` appends to."""
    if session.format == "table":
        relation.show(max_rows=_SHOWN_ROWS)
        return
    path = Path(session.scratch, "result")
    shown = f"SELECT {_for_spreadsheets(relation)} FROM result" if session.format == "csv" else "FROM result"
    relation.query("result", f"COPY ({shown}) TO '{path}' (FORMAT {_FORMATS[session.format]})")
    with path.open("rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer)
    path.unlink()
    sys.stdout.flush()


def _for_spreadsheets(relation: DuckDBPyRelation) -> str:
    """The columns of a result as CSV for people: a text that a spreadsheet would take for a formula, or a terminal for
    a command, is neither any more. The other formats give each text as it is."""
    return ", ".join(_neutral(name, str(kind)) for name, kind in zip(relation.columns, relation.types, strict=True))


def _neutral(name: str, kind: str) -> str:
    column = '"' + name.replace('"', '""') + '"'
    if _PLAIN.fullmatch(kind):
        return column
    text = f"translate(CAST({column} AS VARCHAR), {_sql_text(CONTROLS)}, {_sql_text(SYMBOLS)})"
    return f"CASE WHEN regexp_matches({text}, '^[-=+@\\t]') THEN chr(39) || {text} ELSE {text} END AS {column}"


def _sql_text(text: str) -> str:
    """A text as DuckDB reads it, whatever it holds."""
    return " || ".join(f"chr({ord(letter)})" for letter in text)


_PLAIN = re.compile(
    r"BOOLEAN|U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|DECIMAL\(.*\)|FLOAT|DOUBLE|DATE|TIME|TIMESTAMP( WITH TIME ZONE)?"
)
"""Types whose values are no text."""
_FORMATS = {"table": "", "csv": "csv, HEADER", "json": "json", "parquet": "parquet"}
_COPY_TO = re.compile(r"\bTO\s+'(?P<path>(?:[^']|'')*)'", re.IGNORECASE)
