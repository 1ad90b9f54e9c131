"""The statements of `ddl` make every table, column and comment in each engine's own words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot
from sqlglot import expressions as exp

from cardbeam.run_state.receipt import WATCHING, read_receipt, write_receipt
from cardbeam.run_state.replaced_files import delete_replaced, named_files, note_replaced
from cardbeam.storage.folder import LocalFolder
from pipeline.__main__ import main
from pipeline.catalog.dialects import DIALECTS
from pipeline.catalog.table_ddl import RUN_ID, TABLES, statements
from pipeline.catalog.view_queries.view_dialects import statements as view_statements
from pipeline.catalog.view_queries.view_sql import VIEWS
from pipeline.catalog.views import connect
from tests.pipeline import histories
from tests.pipeline.nights import FIRST, HALF, SECOND, write_nights, write_run

_UNKNOWN_TO_SQLGLOT = "\nWITH PARTITION COLUMNS (`run_id` STRING)"
"""BigQuery's own clause, as its reference for CREATE EXTERNAL TABLE has it."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two runs and a half-finished one."""
    return write_nights(tmp_path_factory.mktemp("nights")).root


def _printed(engine: str, root: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["ddl", f"--engine={engine}", f"--output={root}"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("engine", DIALECTS)
def test_parsed(engine: str) -> None:
    """Each statement parses in the engine's dialect; each table has its columns and their documentation."""
    found: dict[str, list[tuple[str, str]]] = {}
    for statement in statements(engine, "cards", "s3://tables/cards", [FIRST]):
        (tree,) = sqlglot.parse(statement.replace(_UNKNOWN_TO_SQLGLOT, ""), dialect=engine)
        assert not isinstance(tree, exp.Command) or statement.startswith("CALL")
        if isinstance(tree, exp.Create) and isinstance(tree.this, exp.Schema):
            found[tree.this.this.name] = [_column(column) for column in tree.this.find_all(exp.ColumnDef)]
    if engine == "duckdb":  # views: their comments are statements of their own, tested on DuckDB itself
        assert found == {}
        return
    expected = {
        name: [(field.name, field.metadata[b"doc"].decode()) for field in table.schema]
        for name, table in TABLES.items()
    }
    assert {name: [column for column in columns if column[1] and column[0] != RUN_ID.name]
            for name, columns in found.items()} == expected  # fmt: skip


def _column(column: exp.ColumnDef) -> tuple[str, str]:
    comment = column.find(exp.CommentColumnConstraint)
    if comment is not None:
        return column.name, comment.this.name
    options = column.find(exp.Properties)
    return column.name, options.find(exp.Literal).name if options else ""


def test_duckdb(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    """DuckDB takes them, and shows rows of ended runs under the documented columns."""
    connection = duckdb.connect()
    connection.execute(_printed("duckdb", root, capsys))
    rows = "SELECT run_id, count(*) FROM cardbeam.passport GROUP BY ALL ORDER BY ALL"
    assert connection.sql(rows).fetchall() == [(FIRST, 30), (SECOND, 29)]
    for name, table in TABLES.items():
        found = connection.execute(
            "SELECT column_name, comment FROM duckdb_columns() WHERE schema_name = 'cardbeam' AND table_name = ?",
            [name],
        ).fetchall()
        assert found == [(field.name, field.metadata[b"doc"].decode()) for field in [*table.schema, RUN_ID]]


def test_added_columns() -> None:
    """Trino, asked again after an upgrade, adds the columns that a table lacks, with their documentation."""
    added: dict[str, list[str]] = {}
    for statement in statements("trino", "cards", "s3://tables/cards", [FIRST]):
        (tree,) = sqlglot.parse(statement, dialect="trino")
        if isinstance(tree, exp.Alter):
            (column,) = tree.args["actions"]
            assert column.args["exists"] is True and _column(column)[1]
            added.setdefault(tree.this.name, []).append(column.name)
    assert added == {name: table.schema.names for name, table in TABLES.items()}


@pytest.mark.parametrize("engine", ["trino", "spark", "athena", "bigquery"])
def test_half_a_run(engine: str, root: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Only runs with their receipt become partitions."""
    printed = _printed(engine, root, capsys)
    assert [run_id in printed for run_id in (FIRST, SECOND, HALF)] == [True, True, False]


def test_published_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run with replaced files is no partition until they are gone; DuckDB and BigQuery read what receipts name.

    A watch in progress is shown by none of them.
    """
    folder = write_nights(tmp_path)
    first = read_receipt(folder, FIRST)
    assert first is not None
    (path,) = (one for one in named_files(first) if "type=passport" in one)
    stray = path.replace(".parquet", "-before.parquet")
    folder.write(stray, folder.read(path))
    note_replaced(folder, FIRST, [stray], named_files(first), 0)
    second = read_receipt(folder, SECOND)
    assert second is not None
    write_receipt(folder, replace(second, status=WATCHING))
    root = folder.root
    assert [FIRST in _printed(engine, root, capsys) for engine in ("spark", "trino", "athena")] == [False] * 3
    printed = _printed("bigquery", root, capsys)
    assert [one in printed for one in (path, stray, SECOND)] == [True, False, False]
    connection = duckdb.connect()
    connection.execute(_printed("duckdb", root, capsys))
    rows = "SELECT run_id, count(*) FROM cardbeam.passport GROUP BY ALL"
    assert connection.sql(rows).fetchall() == [(FIRST, 30)]
    delete_replaced(folder)
    assert FIRST in _printed("spark", root, capsys)


def test_clickhouse(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    """ClickHouse takes them and reads every row of ended runs alone, types, nested values and comments included."""
    session = pytest.importorskip("chdb.session", reason="chdb, of half a GB, is in no extra: pip install chdb")
    clickhouse = session.Session()

    def rows(query: str) -> list[Any]:
        return [json.loads(line) for line in str(clickhouse.query(query, "JSONCompactEachRow")).splitlines()]

    for statement in _printed("clickhouse", root, capsys).split(";\n\n")[:-1]:
        clickhouse.query(statement)
    assert rows("SELECT run_id, toInt32(count()) FROM cardbeam.passport GROUP BY ALL ORDER BY ALL") == [
        [FIRST, 30],
        [SECOND, 29],
    ]
    assert rows(
        "SELECT dob, dob_box.right, labels['customer_id'], uris[1], toString(called_at) FROM cardbeam.passport "
        "ORDER BY called_at LIMIT 1"
    ) == [["1981-10-03", 110, "C-060", "s3://photos/2026/11/060.jpg", "2026-11-21 01:00:03.000000"]]
    connection = duckdb.connect()
    connection.execute("; ".join(statements("duckdb", "cardbeam", root, [])))
    counts = " UNION ALL ".join(f"SELECT '{name}', count(*)::INT FROM cardbeam.\"{name}\"" for name in TABLES)
    assert sorted(map(tuple, rows(counts))) == sorted(connection.sql(counts).fetchall())
    for name, table in TABLES.items():
        found = rows(
            f"SELECT name, comment FROM system.columns WHERE database = 'cardbeam' AND table = '{name}' "
            "ORDER BY position"
        )
        assert found == [[field.name, field.metadata[b"doc"].decode()] for field in [*table.schema, RUN_ID]]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--output=s3://t", "--views"], "--engine=clickhouse prints tables only: give --views and --masked for"),
        (["--output=az://t/o"], "--engine=clickhouse reads s3://, gs:// and local folders, and --output is az://t/o"),
    ],
)
def test_what_clickhouse_cannot(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ddl", "--engine=clickhouse", *arguments]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("engine", sorted(DIALECTS.keys() - {"clickhouse"}))
def test_views_parse(engine: str, root: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With --views each view of `sql` is there in the engine's words, after those that it reads."""
    assert main(["ddl", f"--engine={engine}", f"--output={root}", "--views"]) == 0
    printed = capsys.readouterr().out.replace(_UNKNOWN_TO_SQLGLOT, "")
    made: list[str] = []
    for tree in sqlglot.parse(printed, dialect=engine):
        if isinstance(tree, exp.Create) and tree.kind in ("VIEW", "TABLE"):
            table = tree.find(exp.Table)
            assert table is not None and table.db == "cardbeam"
            own = {cte.alias for cte in tree.find_all(exp.CTE)}
            read = {one.name for one in tree.expression.find_all(exp.Table)} if tree.expression else set()
            assert made == [] or {name for name in read - own if name} <= set(made)
            made.append(table.name)
    assert made[-len(VIEWS) :] == [view.name for view in VIEWS]


def _in_order(rows: list[Any]) -> list[str]:
    return sorted(str([list(value) if isinstance(value, tuple) else value for value in row]) for row in rows)


_COMPARED = {
    "documents": "type, run_id, item_id, document_index, uris",
    "dead_letters_open": "uris, labels['customer_id'], item_id, code, run_id",
    "latest_answers": "operation, uri, run_id, item_id",
    "cards": "run_id, item_id, front_index, back_index, id, name, mrz_name, sides_agree, why_not",
    "places": "uri, item_id, labels['customer_id'], state, code, types, run_id",
    "requests": "uris, labels['customer_id'], item_id, outcome, code, run_id",
    "latest_documents": "type, run_id, item_id, document_index",
    "latest_cards": "run_id, item_id, front_index, back_index, why_not",
    "latest_passport": "run_id, item_id, document_index",
}


def _written(root: Path, seed: int) -> list[str]:
    past = histories.history(seed)
    for run in past.runs:
        write_run(LocalFolder(str(root)), run.run_id, run.records)
    return [run.run_id for run in past.runs]


def _rows_of_sql(root: str) -> dict[str, list[str]]:
    found = connect(root)
    return {name: _in_order(found.sql(f"SELECT {of} FROM {name}").fetchall()) for name, of in _COMPARED.items()}


@pytest.mark.parametrize("seed", [3, 8])
def test_views_in_duckdb(seed: int, tmp_path: Path) -> None:
    """In a database of DuckDB's own, the printed views show what `sql` shows."""
    _written(tmp_path, seed)
    connection = duckdb.connect()
    made = [*statements("duckdb", "cardbeam", str(tmp_path), []), *view_statements(VIEWS, "duckdb", "cardbeam")]
    connection.execute("; ".join(made))
    found = {
        name: _in_order(connection.sql(f"SELECT {of} FROM cardbeam.{name}").fetchall())
        for name, of in _COMPARED.items()
    }
    assert found == _rows_of_sql(str(tmp_path))


@pytest.mark.parametrize(
    ("engine", "text"),
    [
        ("spark", r"'a\\b\'c'"),
        ("bigquery", r"'a\\b\'c'"),
        ("athena", r"'a\\b\'c'"),
        ("clickhouse", r"'a\\b\'c'"),
        ("duckdb", r"'a\b''c'"),
        ("trino", r"'a\b''c'"),
    ],
)
def test_a_text_ends_where_it_ends(engine: str, text: str) -> None:
    """A backslash before a quote does not free it: where it escapes, it is escaped."""
    assert DIALECTS[engine].text(r"a\b'c") == text
