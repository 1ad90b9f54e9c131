"""`ddl`: prints the CREATE TABLE statements for other engines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cardbeam.config.options import SettingError, option, validate_output
from cardbeam.storage.folder import open_folder
from pipeline.catalog.dialects import DIALECTS
from pipeline.catalog.table_ddl import statements
from pipeline.cli.exit_codes import EXIT_COMPLETE
from pipeline.cli.options import parse
from pipeline.runs.registry import ended_runs


@dataclass(frozen=True, slots=True)
class DdlSettings:
    """For which engine, and where the tables are."""

    output: str = option("", help="The output folder of the runs, by the URI that the engine knows it by.")
    engine: str = option("duckdb", help="The engine that is to read the tables.", choices=tuple(DIALECTS))
    database: str = option("cardbeam", help="Schema, database or data set that holds the tables.")

    def validate(self) -> Iterator[SettingError]:
        """What is wrong with it, in words."""
        yield from validate_output(self.output)
        if not self.database.isidentifier():
            yield f"--database is {self.database!r}, expected letters, digits and '_'"


def main(arguments: Sequence[str]) -> int:
    """Print what makes the tables in an engine, over the Parquet files where they are."""
    (asked,), _ = parse("ddl", str(main.__doc__), arguments, DdlSettings, runner=None)
    runs = ended_runs(open_folder(asked.output))
    for statement in statements(asked.engine, asked.database, asked.output, runs):
        print(f"{statement};\n")
    return EXIT_COMPLETE
