"""One part of a run as rows by table, with the counts that the receipt is made of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cardbeam.model.part import Part, PartCounts
from cardbeam.model.record import JournalRecord
from cardbeam.run_state.layout import DEAD_LETTERS, JOURNAL, LEDGER, of_run
from cardbeam.storage.folder import LocalFolder
from cardbeam.tables.files.table_file import TableRows, write_parquet
from cardbeam.tables.parts.part_plan import plan_parts
from cardbeam.tables.parts.read_part import ledger_table
from schemas.run_tables import DEAD_LETTERS_SCHEMA, LEDGER_SCHEMA
from tests.parts import read_part
from tests.records import answered, copy, failed_record, hex_id, segment, write_segment

RUN = "run-1"
PASSPORT = "documents/type=passport"
SECOND_US = 1_000_000
LABELS = (("customer", "7"), ("batch", ""))
EMPTY = json.dumps({"errorCode": "0", "data": []}).encode()
RECORDS = [
    answered(1, completed_at=10 * SECOND_US, source=1, labels=LABELS, attempts=3, latency_s=2.0),
    answered(2, completed_at=11 * SECOND_US + 999_999, response=EMPTY, latency_s=1.0),
    failed_record(3, completed_at=11 * SECOND_US, labels=LABELS, attempts=2, latency_s=4.0),
    failed_record(
        4, completed_at=12 * SECOND_US, stage="read", code="not_found", attempts=0, http_status=None, retriable=True
    ),
    copy(1, completed_at=13 * SECOND_US, uris=("copies/1.jpg",)),
    failed_record(5, completed_at=9 * SECOND_US, attempts=5, latency_s=None),
    answered(5, completed_at=20 * SECOND_US, latency_s=0.25),
]


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    """An output with the journal of a run."""
    output = LocalFolder(str(tmp_path))
    write_segment(output, f"{of_run(JOURNAL, RUN)}/1.journal", RECORDS)
    return output


def part_of(folder: LocalFolder) -> Part:
    (part,) = plan_parts(folder, RUN)
    return part


def test_records_become_rows_of_three_tables(folder: LocalFolder) -> None:
    """Answers are rows of their type, failures dead letters, and every record is a row of the ledger."""
    tables, _ = read_part(folder, part_of(folder))
    assert sorted(tables) == [DEAD_LETTERS, PASSPORT, LEDGER]
    documents = tables[PASSPORT].select(["item_id", "uris", "labels"]).to_pylist()
    assert documents == [
        {"item_id": hex_id(1), "uris": ["images/1.jpg", "copies/1.jpg"], "labels": list(LABELS)},
        {"item_id": hex_id(5), "uris": ["images/5.jpg"], "labels": []},
    ]
    letters = tables[DEAD_LETTERS]
    assert letters.schema.equals(DEAD_LETTERS_SCHEMA)
    assert letters.select(["item_id", "stage", "code", "attempts", "retriable"]).to_pylist() == [
        {"item_id": hex_id(3), "stage": "call", "code": "error_1", "attempts": 2, "retriable": False},
        {"item_id": hex_id(4), "stage": "read", "code": "not_found", "attempts": 0, "retriable": True},
        {"item_id": hex_id(2), "stage": "parse", "code": "no_document", "attempts": 1, "retriable": False},
    ]
    assert tables[LEDGER].equals(ledger_table(RECORDS))


def test_a_part_is_counted_for_the_receipt(folder: LocalFolder) -> None:
    """Answers, failures, calls by second and when they began and ended, over all records, the replaced ones
    included."""
    part = part_of(folder)
    _, counts = read_part(folder, part)
    assert counts == PartCounts(
        run_id=RUN,
        spans=part.spans,
        answered=3,
        failed=2,
        without_row=1,
        calls_sent=3 + 1 + 2 + 5 + 1,
        calls_retried=2 + 1 + 4,
        dead_letters=(("error_1", 1), ("not_found", 1), ("no_document", 1)),
        calls_by_second=((10, 1), (11, 2), (9, 1), (20, 1)),
        first_call_s=7.0,
        last_call_s=20.0,
    )


def test_the_ledger_gives_the_rows_that_the_journal_gave(folder: LocalFolder) -> None:
    """Once the ledger holds a part it gives the same rows and counts without the journal, and is not written again."""
    part = part_of(folder)
    tables, counts = read_part(folder, part)
    write_parquet(folder, TableRows(LEDGER, RUN, part.name, tables[LEDGER]))
    folder.delete([file.path for file in folder.list(JOURNAL)])
    again = part_of(folder)
    tables_again, counts_again = read_part(folder, again)
    assert (again.name, again.spans) == (part.name, ())
    assert {table: rows.to_pylist() for table, rows in tables_again.items()} == {
        table: rows.to_pylist() for table, rows in tables.items() if table != LEDGER
    }
    assert (counts_again.calls_sent, counts_again.answered, counts_again.failed) == (
        counts.calls_sent,
        counts.answered,
        counts.failed,
    )


@pytest.mark.parametrize("slice_rows", [1, 2, 3])
def test_a_part_is_the_same_in_any_slices(folder: LocalFolder, slice_rows: int) -> None:
    """Rows and counts do not tell how many were in memory at once, from the journal or from the ledger."""
    part = part_of(folder)
    whole, counts = read_part(folder, part)
    write_parquet(folder, TableRows(LEDGER, RUN, part.name, whole[LEDGER]))
    for one in (part, replace(part, spans=())):
        tables, summed = read_part(folder, one, slice_rows)
        letters, of_whole = (sorted(rows[DEAD_LETTERS].to_pylist(), key=repr) for rows in (tables, whole))
        assert (letters, tables[PASSPORT].to_pylist()) == (of_whole, whole[PASSPORT].to_pylist())
        assert sorted(summed.dead_letters) == sorted(counts.dead_letters)
        assert replace(summed, dead_letters=()) == replace(counts, dead_letters=(), spans=one.spans)


def test_a_part_of_nothing_gives_nothing(tmp_path: Path) -> None:
    """A segment with a torn record alone gives no rows and counts nothing, but says what was read."""
    output = LocalFolder(str(tmp_path))
    path = f"{of_run(JOURNAL, RUN)}/1.journal"
    output.write(path, segment(path, [answered(1)])[:-1])
    part = part_of(output)
    tables, counts = read_part(output, part)
    assert (tables, counts) == ({}, PartCounts(RUN, part.spans, 0, 0, 0, 0, 0, (), (), None, None))
    assert [(span.start, span.end) for span in part.spans] == [(0, len(segment(path, [answered(1)])) - 1)]


def test_a_record_is_a_row_of_the_ledger(tmp_path: Path) -> None:
    """Every field of a record is a column, an empty response other than none, and Parquet keeps it."""
    records = [
        answered(1, source=2, labels=LABELS, completed_at=1_792_000_000_123_456, latency_s=0.25, response=b""),
        copy(1, uris=()),
        failed_record(3, uris=("front.jpg", "back.jpg")),
    ]
    table = ledger_table(records)
    assert table.schema.equals(LEDGER_SCHEMA)
    pq.write_table(table, tmp_path / "ledger.parquet")
    rows = pq.read_table(tmp_path / "ledger.parquet").to_pylist()
    assert [_record(row) for row in rows] == records


def _record(row: dict[str, object]) -> JournalRecord:
    times = {
        name: pa.scalar(row[name], LEDGER_SCHEMA.field(name).type).value for name in ("started_at", "completed_at")
    }
    message = {name: row[name] for name in JournalRecord.__struct_fields__}
    return JournalRecord(**{**message, **times, "uris": tuple(row["uris"]), "labels": tuple(row["labels"])})
