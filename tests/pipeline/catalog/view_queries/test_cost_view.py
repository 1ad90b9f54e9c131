"""`cost` tells what was paid by day, operation and labels, and what was paid again or saved."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from cardbeam.storage.folder import LocalFolder
from pipeline.catalog.views import connect
from tests.pipeline.nights import FIRST, SECOND, ledger_record, write_run


def test_each_call_counts_once(tmp_path: Path) -> None:
    """A retry, a duplicate, a failure, and an image that a later run read again."""
    folder = LocalFolder(str(tmp_path))
    north, south = (("branch", "north"),), (("branch", "south"),)
    first = ledger_record(FIRST, 0, ("a.jpg",), labels=north, attempts=3, response=b"{}")
    write_run(
        folder,
        FIRST,
        [
            first,
            ledger_record(FIRST, 1, ("b.jpg",), labels=north, outcome="duplicate", attempts=0, item_id=first.item_id),
            ledger_record(
                FIRST, 2, ("c.jpg",), labels=south, outcome="failed", stage="call", code="error_1", attempts=1
            ),
        ],
    )
    write_run(
        folder, SECOND, [ledger_record(SECOND, 0, ("a.jpg",), labels=north, item_id=first.item_id, response=b"{}")]
    )
    found = connect(folder.root).sql("SELECT * REPLACE (labels['branch'] AS labels) FROM cost ORDER BY 1, 2, 3")
    assert found.columns == [
        *("day", "operation", "labels", "calls", "retries", "succeeded", "paid_again", "saved_calls"),
        *("cost", "cost_again", "saved_cost"),
    ]
    day, next_day = date(2026, 11, 21), date(2026, 11, 22)
    assert found.fetchall() == [
        (day, "ekyc/card", "north", 3, 2, 1, 0, 1, 0.02, 0.0, 0.02),
        (day, "ekyc/card", "south", 1, 0, 0, 0, 0, 0.0, 0.0, 0.0),
        (next_day, "ekyc/card", "north", 1, 0, 1, 1, 0, 0.02, 0.02, 0.0),
    ]
