"""Make the views of `ddl --views` in Spark over random histories, and compare them with those of `sql`.

python -m tests.pipeline.catalog.spark_views --histories=2
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cardbeam.storage.folder import LocalFolder
from pipeline.catalog.table_ddl import statements
from pipeline.catalog.view_queries.view_dialects import statements as view_statements
from pipeline.catalog.view_queries.view_sql import VIEWS
from pipeline.catalog.views import connect
from tests.pipeline import histories
from tests.pipeline.nights import write_run
from tests.pipeline.spark import session

COMPARED = {
    "documents": "type, run_id, item_id, document_index, uris",
    "dead_letters_open": "uris, labels['customer_id'], item_id, code, run_id",
    "latest_answers": "operation, uri, run_id, item_id",
    "cards": "run_id, item_id, front_index, back_index, id, name, mrz_name, sides_agree, why_not",
    "places": "uri, item_id, labels['customer_id'], state, code, types, run_id",
    "requests": "uris, labels['customer_id'], item_id, outcome, code, run_id",
    "holders": "type, run_id, item_id, document_index, number, name, dob",
    "latest_documents": "type, run_id, item_id, document_index",
    "latest_cards": "run_id, item_id, front_index, back_index, why_not",
    "latest_holders": "type, run_id, item_id, document_index, number",
    "latest_passport": "run_id, item_id, document_index",
}
"""What is compared of each view; the views of the other types are like that of passports."""


def _in_order(rows: list[Any]) -> list[str]:
    return sorted(str([list(value) if isinstance(value, tuple | list) else value for value in row]) for row in rows)


def differences(spark: Any, root: Path, seed: int, names: Sequence[str]) -> list[str]:
    """Make the views of these names over a history; the names of those that show something else than in DuckDB."""
    past, database = histories.history(seed), f"history_{seed}"
    spark.conf.set("spark.sql.codegen.wholeStage", "false")  # compiling costs more than so few rows
    for run in past.runs:
        write_run(LocalFolder(str(root)), run.run_id, run.records)
    made = tuple(view for view in VIEWS if view.name in names)
    run_ids = [run.run_id for run in past.runs]
    for statement in [*statements("spark", database, str(root), run_ids), *view_statements(made, "spark", database)]:
        spark.sql(statement)
    views, differ = connect(str(root)), []
    for name in COMPARED.keys() & {*names}:
        found = spark.sql(f"SELECT {COMPARED[name]} FROM {database}.{name}").collect()
        if _in_order(found) != _in_order(views.sql(f"SELECT {COMPARED[name]} FROM {name}").fetchall()):
            differ.append(name)
    spark.conf.unset("spark.sql.codegen.wholeStage")
    return sorted(differ)


def main(arguments: Sequence[str]) -> int:
    """Make every view, and compare those that can differ; 1 where one does."""
    parser = argparse.ArgumentParser(prog="python -m tests.pipeline.catalog.spark_views", description=main.__doc__)
    parser.add_argument("--histories", type=int, default=2)
    parser.add_argument("--first", type=int, default=3)
    asked = parser.parse_args(list(arguments))
    has_differed = False
    with tempfile.TemporaryDirectory() as scratch, session(Path(scratch, "spark")) as spark:
        for seed in range(asked.first, asked.first + asked.histories):
            found = differences(spark, Path(scratch, str(seed)), seed, [view.name for view in VIEWS])
            has_differed |= bool(found)
            print(f"history {seed}: {len(VIEWS)} views made, {len(COMPARED)} compared, different: {found}", flush=True)
    return int(has_differed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
