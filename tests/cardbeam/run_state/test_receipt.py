"""The receipt: every count from the parts and files, and the gaps between them."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from cardbeam.config.settings import EndpointSettings, InputSettings, OutputSettings, RateSettings, Settings
from cardbeam.model.part import PartCounts, Span, WrittenFile
from cardbeam.model.result import THROTTLED_US
from cardbeam.run_state.receipt import Receipt, make_receipt, read_receipt, with_tables, write_receipt
from cardbeam.run_state.stop_signal import BUDGET
from cardbeam.storage.folder import LocalFolder

SETTINGS = Settings(
    InputSettings(input=("cards/*.jpg",)),
    EndpointSettings(endpoint_url="http://127.0.0.1:1/api/v2"),
    RateSettings(max_requests_per_second=20, price_per_call=0.015),
    OutputSettings(output="out", run_id="r1"),
)
STARTED = datetime(2026, 11, 22, 8, 0, tzinfo=timezone(timedelta(hours=7)))
FINISHED = STARTED + timedelta(seconds=90)
PARTS = [
    PartCounts(
        "r1", (Span("j", 0, 9),), 5, 1, 1, 9, 3, (("error_1", 1), ("no_document", 1)), ((102, 9),), 100.5, 102.5
    ),
    PartCounts("r1", (), 2, 1, 0, 3, 1, (("error_1", 1),), ((101, 1), (301, 2)), 101.0, 301.5),
]
FILES = [
    WrittenFile("r1", "ledger", "ledger/run_id=r1/b.parquet", 10, 100, "of ledger"),
    WrittenFile("r1", "documents/type=passport", "documents/type=passport/run_id=r1/b.parquet", 4, 40),
    WrittenFile("r1", "documents/type=passport", "documents/type=passport/run_id=r1/a.parquet", 2, 20),
    WrittenFile("r1", "documents/type=driving_license", "documents/type=driving_license/run_id=r1/empty.parquet", 0, 9),
]
COUNTS = {"found": 14, "succeeded": 7, "dead_lettered": 2, "duplicates": 3, "skipped": 2}


def receipt_of(counts: dict[str, int], stop: object = None) -> Receipt:
    return make_receipt(SETTINGS, counts, PARTS, FILES, stop, started_at=STARTED, finished_at=FINISHED)


def test_a_receipt_adds_up() -> None:
    """Requests by fate, calls, rows by type, dead letters by code, files, rate and cost, of all parts together.

    An answer that gave no row is a failure; a pause of more than a minute is not time in which the run was busy.
    """
    assert receipt_of(COUNTS) == Receipt(
        run_id="r1",
        status="complete",
        requests={
            "found": 14,
            "skipped": 2,
            "duplicates": 3,
            "succeeded": 6,
            "dead_lettered": 3,
            "deferred": 0,
            "erased": 0,
            "called": 8,
        },
        calls={"sent": 12, "retried": 4, "answered": 7},
        documents={"passport": 6},
        dead_letters={"error_1": 2, "no_document": 1},
        files=[
            {"path": "documents/type=driving_license/run_id=r1/empty.parquet", "rows": 0, "bytes": 9, "schema": ""},
            {"path": "documents/type=passport/run_id=r1/a.parquet", "rows": 2, "bytes": 20, "schema": ""},
            {"path": "documents/type=passport/run_id=r1/b.parquet", "rows": 4, "bytes": 40, "schema": ""},
            {"path": "ledger/run_id=r1/b.parquet", "rows": 10, "bytes": 100, "schema": "of ledger"},
        ],
        rate={"allowed_per_s": 20, "achieved_per_s": round(12 / 2.0, 3), "busy_s": 2.0, "throttled_s": 0.0},
        cost=0.105,
        started_at="2026-11-22T01:00:00Z",
        finished_at="2026-11-22T01:01:30Z",
        settings=receipt_of(COUNTS).settings,
        reconciled=True,
    )


def test_time_of_waiting_for_the_rate_is_in_seconds() -> None:
    """Workers count it in microseconds."""
    assert receipt_of({**COUNTS, THROTTLED_US: 2_500_000}).rate["throttled_s"] == 2.5


def test_settings_stand_under_their_options_names() -> None:
    """Every option of the run is in the receipt, by the name it has on the command line."""
    groups = (SETTINGS.input, SETTINGS.endpoint, SETTINGS.rate, SETTINGS.output)
    expected = {name: value for group in groups for name, value in asdict(group).items()}
    settings = receipt_of(COUNTS).settings
    assert settings == expected
    assert settings["input"] == ("cards/*.jpg",)


@pytest.mark.parametrize(
    ("change", "gap"),
    [
        ({"found": 15}, "15 found, but 14 ended: +1"),
        ({"found": 13}, "13 found, but 14 ended: -1"),
        ({"found": 15, "succeeded": 8}, "7 succeeded, but the ledger holds 6: -1"),
        ({"found": 16, "dead_lettered": 4}, "5 dead_lettered, but the ledger holds 3: -2"),
    ],
)
def test_a_gap_is_a_failed_run(change: dict[str, int], gap: str) -> None:
    """Where counts do not agree the run has failed, and the gap says by how much."""
    receipt = receipt_of({**COUNTS, **change})
    assert (receipt.status, receipt.reconciled, receipt.discrepancies) == ("failed", False, [gap])


def test_a_stop_that_deferred_something_is_the_status() -> None:
    """A run that stopped early says by what and what to do; one that had nothing left to do is complete."""
    stopped = receipt_of({**COUNTS, "found": 20, "deferred": 6}, BUDGET)
    assert (stopped.status, stopped.stopped_by, stopped.message) == ("budget", "max_calls", BUDGET.message)
    assert (stopped.reconciled, stopped.requests["deferred"]) == (True, 6)
    assert receipt_of(COUNTS, BUDGET).status == "complete"


def test_an_empty_run_is_complete() -> None:
    """A run without a new image has a receipt of zeros."""
    receipt = make_receipt(SETTINGS, {}, [], [], None, started_at=STARTED, finished_at=FINISHED)
    assert (receipt.status, receipt.reconciled, set(receipt.requests.values())) == ("complete", True, {0})
    assert receipt.rate == {"allowed_per_s": 20, "achieved_per_s": 0.0, "busy_s": 0.0, "throttled_s": 0.0}


def test_tables_made_again_change_what_was_read_and_not_what_was_asked() -> None:
    """After publishing, rows, dead letters and files are those of now; found, duplicates and calls stay."""
    before = receipt_of(COUNTS)
    parts = [replace(PARTS[0], without_row=0, dead_letters=(("error_1", 1),)), PARTS[1]]
    now = with_tables(before, parts, FILES[:2])
    assert now == replace(
        before,
        requests={**before.requests, "succeeded": 7, "dead_lettered": 2},
        documents={"passport": 4},
        dead_letters={"error_1": 2},
        files=before.files[2:],
    )


def test_a_receipt_is_read_back(tmp_path: Path) -> None:
    """What is written is read as it was, but for lists that were tuples; a run without a receipt has none."""
    folder = LocalFolder(str(tmp_path))
    assert read_receipt(folder, "r1") is None
    receipt = receipt_of(COUNTS)
    write_receipt(folder, receipt)
    read = read_receipt(folder, "r1")
    assert read == replace(receipt, settings={**receipt.settings, "input": ["cards/*.jpg"]})
    assert [file.path for file in folder.list("")] == ["runs/r1/receipt.json"]
