"""The open dead letters of an output are found whatever else a crash left in its folders."""

from __future__ import annotations

from pathlib import Path

from tests.records import answered, dead
from transforms.elements import Picture, Request
from transforms.find_dead_letters import find_dead_letters
from transforms.layout import LEDGER, parquet_file
from transforms.read_part import ledger_table
from transforms.settings import ReplaySettings
from transforms.storage import LocalFolder
from transforms.table_file import TableRows, open_parquet, write_parquet


def test_a_ledger_file_that_was_being_written_is_passed_over(tmp_path: Path) -> None:
    """What a killed process left half written has a name of its own."""
    folder = LocalFolder(str(tmp_path))
    rows = TableRows(LEDGER, "r0", "p1", ledger_table([dead(1), answered(2)]))
    write_parquet(folder, rows)
    with open_parquet(folder, rows) as file:
        file.write(rows.rows)
        (half,) = tmp_path.glob("ledger/*/.*.tmp")
        torn = half.read_bytes()
    Path(f"{tmp_path}/{parquet_file(LEDGER, 'r0', '.p2')}.0123.tmp").write_bytes(torn)
    found = list(find_dead_letters(folder, "r1", ReplaySettings()))
    assert found == [Request("ekyc/card", (Picture("pictures/1.jpg"),))]
