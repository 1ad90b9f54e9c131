"""Where everything stands in the output folder. The names are a contract with its readers."""

from __future__ import annotations

from schemas.documents import DOCUMENT_TYPES

DOCUMENTS = "documents"
DEAD_LETTERS = "dead_letters"
LEDGER = "ledger"
JOURNAL = "journal"
RUNS = "runs"
INDEX = "index"

DOCUMENT_TABLES: dict[str, str] = {f"{DOCUMENTS}/type={name}": name for name in DOCUMENT_TYPES}
"""Table folder -> document type."""

TABLES: tuple[str, ...] = (*DOCUMENT_TABLES, DEAD_LETTERS, LEDGER)

JOURNAL_SUFFIX = ".journal"


def of_run(table: str, run_id: str) -> str:
    """The folder of one run's files of a table."""
    return f"{table}/run_id={run_id}"


def parquet_file(table: str, run_id: str, part_name: str) -> str:
    """The file that holds a part's rows of a table."""
    return f"{of_run(table, run_id)}/{part_name}.parquet"


def staging_file(table: str, run_id: str, part_name: str) -> str:
    """A part's rows on their way into a table's Parquet files. Engines pass over names that begin so."""
    return f"{of_run(table, run_id)}/_{part_name}.arrow"


def is_waiting_file(path: str) -> bool:
    """Whether a file is on its way into a table's Parquet files."""
    name = path.rpartition("/")[2]
    return name.startswith("_") and name.endswith(".arrow")


def run_file(run_id: str, name: str) -> str:
    """A file about a run: its claim, its receipt, its report."""
    return f"{RUNS}/{run_id}/{name}"


def table_of(path: str) -> str:
    """The folder of the table that a file is of."""
    return path.partition("/run_id=")[0]


def run_id_of(path: str) -> str | None:
    """The run that a path of a table or of the journal belongs to."""
    for step in path.split("/"):
        if step.startswith("run_id="):
            return step.removeprefix("run_id=")
    return None


BUDGET_FOLDER = "budget"

COUNTS_FILE, HOLD_FILE = "counts.json", "hold.json"

LEASES, HEARTBEATS = "leases", "heartbeats"
