"""SQL over the tables of an output folder, by DuckDB: one view for each table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.exit import EXIT_COMPLETE, UsageError
from transforms.layout import DEAD_LETTERS, DOCUMENT_TABLES, LEDGER, RUNS

if TYPE_CHECKING:
    import duckdb


_DEAD_LETTERS_OPEN = """
CREATE VIEW dead_letters_open AS
WITH newest AS (
    SELECT *, row_number() OVER (PARTITION BY operation, uris ORDER BY last_at DESC) AS age FROM dead_letters
)
SELECT newest.* EXCLUDE (age) FROM newest
WHERE age = 1 AND (stage = 'parse' OR NOT (
    item_id IN (SELECT item_id FROM ledger WHERE outcome = 'answered')
    OR (operation, uris) IN (SELECT (operation, uris) FROM ledger WHERE outcome <> 'dead')
))
"""
"""Dead letters that no later answer settled, the newest of each request."""


def connect(output: str) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with a view for each document type, `dead_letters`, `ledger` and `runs`.

    Raises:
        UsageError: DuckDB is not installed, or there are no tables.
    """
    try:
        import duckdb  # noqa: PLC0415  # an extra
    except ImportError:
        raise UsageError("DuckDB is not installed; pip install 'cardbeam[sql]'") from None
    connection = duckdb.connect()
    views = {name: table for table, name in DOCUMENT_TABLES.items()} | {DEAD_LETTERS: DEAD_LETTERS, LEDGER: LEDGER}
    try:
        for view, table in views.items():
            connection.execute(
                f"CREATE VIEW \"{view}\" AS SELECT * FROM read_parquet('{_quoted(output)}/{table}/run_id=*/*.parquet', "
                "hive_partitioning = true, hive_types_autocast = false)"
            )
        connection.execute(_DEAD_LETTERS_OPEN)
        connection.execute(
            f"CREATE VIEW runs AS FROM read_json('{_quoted(output)}/{RUNS}/*/receipt.json', union_by_name = true)"
        )
    except duckdb.IOException:
        raise UsageError(f"--output {output} holds no tables; run a backfill into it first") from None
    return connection


def _quoted(text: str) -> str:
    return text.rstrip("/").replace("'", "''")


def main(arguments: Sequence[str]) -> int:
    """SQL over the tables of an output folder."""
    parser = argparse.ArgumentParser(prog="run.sh sql", description=main.__doc__)
    parser.add_argument("--output", required=True, help="The output folder of a backfill.")
    parser.add_argument("query", help="SQL; the views are the document types, dead_letters, ledger and runs.")
    asked = parser.parse_args(list(arguments))
    if not Path(asked.output).exists() and "://" not in asked.output:
        raise UsageError(f"--output {asked.output} does not exist")
    connection = connect(asked.output)
    connection.sql(asked.query).show(max_rows=10_000)
    return EXIT_COMPLETE
