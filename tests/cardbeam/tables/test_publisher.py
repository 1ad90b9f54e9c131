"""However the records of a run that goes on are cut into publications, its tables end as those of a backfill."""

from __future__ import annotations

import base64
import random
from collections import Counter
from datetime import datetime, timedelta, timezone
from itertools import count
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec import structs

from cardbeam.config.settings import EndpointSettings, InputSettings, OutputSettings, RateSettings, Settings
from cardbeam.model.record import JournalRecord
from cardbeam.run_state.layout import DEAD_LETTERS, JOURNAL, LEDGER, of_run
from cardbeam.run_state.receipt import WATCHING, Receipt, read_receipt
from cardbeam.run_state.replaced_files import unnamed_files
from cardbeam.storage.folder import LocalFolder
from cardbeam.tables.parts.part_plan import PART_BYTES, plan_parts
from cardbeam.tables.publisher import MAX_SMALL, Publisher
from tests.parts import read_part
from tests.records import answered, copy, failed_record, read_segment, segment, write_segment

RUN = "run-1"
PASSPORT = "documents/type=passport"
BEGAN = datetime(2026, 11, 22, 1, tzinfo=timezone.utc)
SEGMENT = f"{of_run(JOURNAL, RUN)}/a-000000.journal"
Row = tuple[str, tuple[str, ...]]


def publisher_of(folder: LocalFolder, keep_replaced_s: float = 3600.0) -> Publisher:
    output = OutputSettings(folder.root, RUN, keep_replaced_s=keep_replaced_s)
    given_settings = Settings(InputSettings(("in",)), EndpointSettings(), RateSettings(), output)
    return Publisher(folder, given_settings, BEGAN)


def rows_of(folder: LocalFolder, receipt: Receipt, table: str) -> Counter[Row]:
    """Item and URIs of each row that a reader of the receipt finds."""
    rows: Counter[Row] = Counter()
    for file in receipt.files:
        if file["path"].startswith(table):
            read = pq.ParquetFile(Path(folder.root, file["path"])).read(["item_id", "uris"]).to_pylist()
            rows.update((row["item_id"], tuple(sorted(row["uris"]))) for row in read)
    return rows


def as_a_backfill(folder: LocalFolder, table: str) -> Counter[Row]:
    rows: Counter[Row] = Counter()
    for part in plan_parts(folder, RUN):
        tables, _ = read_part(folder, part)
        if table in tables:
            for row in tables[table].select(["item_id", "uris"]).to_pylist():
                rows[row["item_id"], tuple(sorted(row["uris"]))] += 1
    return rows


RECORDS = st.builds(
    lambda make, item, source: make(item, source=source, uris=(f"in/{source}.jpg",)),
    st.sampled_from([answered, failed_record, copy]),
    st.integers(0, 5),
    st.integers(0, 9),
)


@settings(max_examples=8, phases=[Phase.generate])  # shrinking takes minutes: each example writes many files
@given(
    sessions=st.lists(st.lists(st.lists(RECORDS, max_size=4), max_size=3), min_size=1, max_size=3),
    torn_bytes=st.integers(0, 30),
)
def test_the_last_tables_are_those_of_a_backfill(
    tmp_path_factory: pytest.TempPathFactory, sessions: list[list[list[JournalRecord]]], torn_bytes: int
) -> None:
    """Each session ends in a kill, with records that it did not publish and one that is torn."""
    folder = LocalFolder(str(tmp_path_factory.mktemp("output")))
    whole = LocalFolder(str(tmp_path_factory.mktemp("whole")))
    records: list[JournalRecord] = []
    times = count(1)  # of two records of one moment either may be shown
    for number, batches in enumerate(sessions):
        publisher, written = publisher_of(folder), list[JournalRecord]()
        path = f"{of_run(JOURNAL, RUN)}/{number}-000000.journal"
        publisher.publish_all()
        for drawn in batches:
            batch = [structs.replace(one, completed_at=next(times)) for one in drawn]
            written += batch
            write_segment(folder, path, written)
            records += batch
            publisher.publish_new()
            publisher.write_receipt(0, BEGAN)
        late = answered(50 + number, source=60 + number, completed_at=next(times))
        whole_bytes = len(segment(path, [*written, late]))
        folder.write(path, segment(path, [*written, late, answered(99)])[: whole_bytes + torn_bytes])
        records.append(late)
    receipt = publisher_of(folder).finish(0, BEGAN, is_stopped=False)
    write_segment(whole, SEGMENT, records)
    for table in (PASSPORT, DEAD_LETTERS, LEDGER):
        assert rows_of(folder, receipt, table) == as_a_backfill(whole, table)
    assert (receipt.status, receipt.reconciled, list(folder.list(JOURNAL))) == ("complete", True, [])


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(str(tmp_path))


def publish(publisher: Publisher, folder: LocalFolder, *records: JournalRecord, pending_requests: int = 0) -> Receipt:
    """Append to the journal and publish."""
    before = read_segment(folder, SEGMENT) if any(folder.list(JOURNAL)) else []
    write_segment(folder, SEGMENT, [*before, *records])
    publisher.publish_new()
    publisher.write_receipt(pending_requests, BEGAN + timedelta(seconds=9))
    receipt = read_receipt(folder, RUN)
    assert receipt is not None
    return receipt


def test_rows_are_in_sight_after_each_publication(folder: LocalFolder) -> None:
    publisher = publisher_of(folder)
    receipt = publish(publisher, folder, answered(1, source=11), failed_record(2, source=12), pending_requests=3)
    assert (receipt.status, receipt.has_ended, receipt.reconciled) == (WATCHING, False, True)
    assert receipt.requests["found"] == 5
    assert receipt.requests["deferred"] == 3
    assert sum(rows_of(folder, receipt, PASSPORT).values()) == 1
    receipt = publish(publisher, folder, answered(3, source=13), copy(1, source=14))
    assert (receipt.requests["succeeded"], receipt.requests["duplicates"], receipt.requests["found"]) == (2, 1, 4)
    assert sum(rows_of(folder, receipt, PASSPORT).values()) == 2


def test_small_files_become_few_and_a_reader_of_the_last_receipt_finds_its_files(folder: LocalFolder) -> None:
    publisher = publisher_of(folder)
    receipts = [publish(publisher, folder, answered(item, source=100 + item)) for item in range(2 * MAX_SMALL)]
    files = [sum(file["path"].startswith(PASSPORT) for file in receipt.files) for receipt in receipts]
    assert max(files) == MAX_SMALL - 1
    for receipt in receipts:  # all of them are younger than --keep_replaced_s
        assert rows_of(folder, receipt, PASSPORT).total() == receipt.requests["succeeded"]
        assert rows_of(folder, receipt, LEDGER).total() == receipt.requests["succeeded"]
    replaced = unnamed_files(folder, RUN)
    there = {file.path for table in (PASSPORT, LEDGER) for file in folder.list(table)}
    assert there == replaced | {file["path"] for file in receipts[-1].files}
    receipt = publisher_of(folder, keep_replaced_s=0).finish(0, BEGAN, is_stopped=False)
    assert sorted(file.path for file in folder.list("") if file.path.endswith(".parquet")) == [
        file["path"] for file in receipt.files
    ]
    assert rows_of(folder, receipt, LEDGER).total() == 2 * MAX_SMALL


def test_what_was_given_out_and_has_no_record_is_a_gap_unless_the_run_was_stopped(folder: LocalFolder) -> None:
    publish(publisher_of(folder), folder, answered(1, source=11))
    receipt = publisher_of(folder).finish(2, BEGAN, is_stopped=False)
    assert (receipt.status, receipt.reconciled, receipt.discrepancies) == (
        "failed",
        False,
        ["3 found, but 1 ended: +2"],
    )
    receipt = publisher_of(folder).finish(2, BEGAN, is_stopped=True)
    assert (receipt.reconciled, receipt.requests["deferred"]) == (True, 2)


def test_segments_go_once_their_writer_has_begun_another(folder: LocalFolder) -> None:
    publisher = publisher_of(folder)
    publish(publisher, folder, answered(1))
    assert [file.path for file in folder.list(JOURNAL)] == [SEGMENT]
    second = SEGMENT.replace("000000", "000001")
    write_segment(folder, second, [answered(2)])
    assert publisher.has_new()
    publisher.publish_new()
    assert not publisher.has_new()
    publisher.write_receipt(0, BEGAN)
    assert [file.path for file in folder.list(JOURNAL)] == [second]


def test_a_record_that_is_being_written_is_not_passed_over(folder: LocalFolder) -> None:
    """All is published again after each failure of the store, while workers write; its segment goes when it is read."""
    publisher = publisher_of(folder)
    folder.write(SEGMENT, segment(SEGMENT, [answered(1), answered(2)])[:-20])
    publisher.publish_all()
    write_segment(folder, SEGMENT, [answered(1), answered(2), answered(4)])
    write_segment(folder, SEGMENT.replace("000000", "000001"), [answered(3)])
    publisher.publish_new()
    publisher.write_receipt(0, BEGAN)
    receipt = publisher.finish(0, BEGAN, is_stopped=False)
    assert (receipt.requests["succeeded"], rows_of(folder, receipt, PASSPORT).total()) == (4, 4)


def test_a_crash_before_merged_files_are_gone_leaves_no_record_twice(folder: LocalFolder) -> None:
    publisher = publisher_of(folder)
    before = [publish(publisher, folder, copy(item, source=item)) for item in range(MAX_SMALL)][-1]
    publisher = publisher_of(folder)
    publisher.publish_all()
    publisher.write_receipt(0, BEGAN)
    after = read_receipt(folder, RUN)
    last = publisher.finish(0, BEGAN, is_stopped=False)
    assert after is not None
    assert before.requests["found"] == MAX_SMALL
    assert (after.requests, last.requests) == (before.requests, before.requests)
    assert rows_of(folder, last, LEDGER).total() == MAX_SMALL


def test_what_is_merged_at_once_is_no_more_than_a_part_holds(folder: LocalFolder) -> None:
    """Thumbnails make parts large."""
    publisher = publisher_of(folder)
    for item in range(MAX_SMALL):
        image = base64.b64encode(random.Random(item).randbytes(PART_BYTES // 25)).decode()
        response = orjson.dumps({"errorCode": "0", "data": [{"type": "of another contract", "image": image}]})
        write_segment(folder, SEGMENT.replace("000000", f"{item:06}"), [answered(item, source=item, response=response)])
        publisher.publish_new()
    publisher.write_receipt(0, BEGAN)
    receipt = read_receipt(folder, RUN)
    assert receipt is not None
    ledger = [file for file in receipt.files if file["path"].startswith(LEDGER)]
    assert sum(file["rows"] for file in ledger) == MAX_SMALL
    assert (len(ledger) < MAX_SMALL, max(file["bytes"] for file in ledger) < PART_BYTES) == (True, True)
