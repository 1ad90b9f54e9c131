"""The open dead letters of an output are found whatever else a crash left in its folders."""

from __future__ import annotations

from pathlib import Path

from cardbeam.config.settings import ReplaySettings
from cardbeam.inputs.dead_letters import list_dead_letter_requests
from cardbeam.model.request import ImageRef, Request
from cardbeam.run_state.layout import LEDGER, parquet_file
from cardbeam.storage.folder import LocalFolder
from cardbeam.tables.files.table_file import TableRows, open_parquet, write_parquet
from cardbeam.tables.parts.read_part import ledger_table
from tests.records import answered, failed_record


def test_a_ledger_file_that_was_being_written_is_passed_over(tmp_path: Path) -> None:
    """What a killed process left half written has a name of its own."""
    folder = LocalFolder(str(tmp_path))
    rows = TableRows(LEDGER, "r0", "p1", ledger_table([failed_record(1), answered(2)]))
    write_parquet(folder, rows)
    with open_parquet(folder, rows) as file:
        file.write(rows.rows)
        (half,) = tmp_path.glob("ledger/*/.*.tmp")
        torn = half.read_bytes()
    Path(f"{tmp_path}/{parquet_file(LEDGER, 'r0', '.p2')}.0123.tmp").write_bytes(torn)
    found = list(list_dead_letter_requests(folder, "r1", ReplaySettings()))
    assert found == [Request("ekyc/card", (ImageRef("images/1.jpg"),))]


def test_a_replay_that_completes_others_leaves_out_what_failed_again_in_them(tmp_path: Path) -> None:
    """They sent it again, whatever its code is now; what they had not sent is left to this one."""
    folder = LocalFolder(str(tmp_path))
    for run_id, records in {
        "r0": [failed_record(number, source=number, uris=(f"in/{number}.jpg",)) for number in range(4)],
        "r1": [
            failed_record(0, source=0, uris=("in/0.jpg",), code="error_3"),
            answered(1, source=1, uris=("in/1.jpg",)),
        ],
    }.items():
        write_parquet(folder, TableRows(LEDGER, run_id, "p1", ledger_table(records)))

    def uris(*resumes: str) -> list[str]:
        return [
            one.uris[0] for one in list_dead_letter_requests(folder, "r2", ReplaySettings(codes=("error_1",)), resumes)
        ]

    assert uris() == ["in/0.jpg", "in/2.jpg", "in/3.jpg"]
    assert uris("r1") == ["in/2.jpg", "in/3.jpg"]
