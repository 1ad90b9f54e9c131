"""`ddl`: prints the CREATE TABLE statements for other engines."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cardbeam.config.options import SettingError, option, validate_output
from cardbeam.run_state.replaced_files import named_files, replaced_files
from cardbeam.storage.damaged_file import warn
from cardbeam.storage.folder import open_folder
from cardbeam.storage.object_store import is_in_bucket
from cardbeam.storage.uris import local_path
from pipeline.catalog.dialects import DIALECTS
from pipeline.catalog.table_ddl import statements
from pipeline.catalog.view_queries.masked_views import masked_views, read_key
from pipeline.catalog.view_queries.view_dialects import statements as view_statements
from pipeline.catalog.view_queries.view_sql import VIEWS
from pipeline.cli.exit_codes import EXIT_COMPLETE
from pipeline.cli.options import parse
from pipeline.runs.registry import ended_runs, receipts

_BY_FOLDER = ("trino", "spark", "athena")
"""Engines that read every file in the folder of a run."""


@dataclass(frozen=True, slots=True)
class DdlSettings:
    """For which engine, and where the tables are."""

    output: str = option("", help="The output folder of the runs, by the URI that the engine knows it by.")
    engine: str = option("duckdb", help="The engine that is to read the tables.", choices=tuple(DIALECTS))
    database: str = option("cardbeam", help="Schema, database or data set that holds the tables.")
    masked: bool = option(
        False,
        help="Print views without numbers, names, addresses, boxes and images instead, named masked_…; with "
        "CARDBEAM_PSEUDONYM_KEY set they have person_key, and the printed text holds what that key gives.",
    )
    views: bool = option(False, help="Print the views of `sql` too, all but `runs`; they read the tables.")

    def validate(self) -> Iterator[SettingError]:
        """What is wrong with it, in words."""
        yield from validate_output(self.output)
        if not self.database.isidentifier():
            yield f"--database is {self.database!r}, expected letters, digits and '_'"
        if self.engine == "clickhouse":
            if self.views or self.masked:
                yield "--engine=clickhouse prints tables only: give --views and --masked for another engine"
            if is_in_bucket(self.output) and not self.output.startswith(("s3://", "gs://")):
                yield f"--engine=clickhouse reads s3://, gs:// and local folders, and --output is {self.output}"


def main(arguments: Sequence[str]) -> int:
    """Print what makes the tables in an engine, over the Parquet files where they are."""
    (asked,), _ = parse("ddl", str(main.__doc__), arguments, DdlSettings, runner=None)
    if asked.masked:
        for statement in view_statements(tuple(masked_views(read_key())), asked.engine, asked.database):
            print(f"{statement};\n")
        return EXIT_COMPLETE
    folder = open_folder(asked.output)
    ended = [one for one in receipts(folder, ended_runs(folder), warn).values() if one.has_ended]
    whole_runs = [one.run_id for one in ended if not replaced_files(folder, one.run_id, named_files(one))]
    files = [path for one in ended for path in sorted(named_files(one))]
    for one in ended:
        if asked.engine in _BY_FOLDER and one.run_id not in whole_runs:
            print(f"run {one.run_id} is left out: its folders hold replaced files, which a publish, backfill or watch "
                  "deletes after --keep_replaced_s; rerun ddl then", file=sys.stderr)  # fmt: skip
    local = local_path(asked.output)
    output = asked.output if local is None else str(local.resolve())
    for statement in statements(asked.engine, asked.database, output, whole_runs, files):
        print(f"{statement};\n")
    if asked.views:
        for statement in view_statements(VIEWS, asked.engine, asked.database):
            print(f"{statement};\n")
    return EXIT_COMPLETE
