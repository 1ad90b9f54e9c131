"""Whatever a run's workers process is told once it is whole, wherever it stands by then."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.journal.follower import JournalFollower, RecordKey
from cardbeam.model.record import JournalRecord
from cardbeam.run_state.layout import JOURNAL, LEDGER, of_run
from cardbeam.storage.folder import LocalFolder
from cardbeam.tables.files.table_file import TableRows, write_parquet
from cardbeam.tables.parts.read_part import ledger_table
from tests.records import RECORDS, answered, failed_record, segment, write_segment

RUN = "run-1"
SEGMENT = f"{of_run(JOURNAL, RUN)}/a-000000.journal"


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(str(tmp_path))


def known(one: JournalRecord, *, may_be_old: bool = False) -> RecordKey:
    names = ("item_id", "source_id", "outcome", "retriable", "uris")
    message = (getattr(one, name) for name in names)
    return RecordKey(
        *message, may_be_old=may_be_old, code=one.code, input_id=one.input_id, completed_at=one.completed_at
    )


def to_ledger(folder: LocalFolder, name: str, *records: JournalRecord) -> None:
    write_parquet(folder, TableRows(LEDGER, RUN, name, ledger_table(records)))


@given(records=st.lists(RECORDS, max_size=6), cuts=st.lists(st.integers(0, 4000), max_size=6))
def test_a_segment_that_grows_by_any_bytes_is_read_once(
    tmp_path_factory: pytest.TempPathFactory, records: list[JournalRecord], cuts: list[int]
) -> None:
    folder = LocalFolder(str(tmp_path_factory.mktemp("output")))
    content = segment(SEGMENT, records)
    follower, message = JournalFollower(folder, RUN), []
    for cut in sorted({min(cut, len(content)) for cut in cuts} | {len(content)}):
        folder.write(SEGMENT, content[:cut])
        message += list(follower.read())
    assert message == [known(one) for one in records]


def test_what_moves_from_the_journal_to_the_ledger_is_not_missed(folder: LocalFolder) -> None:
    one, two = answered(1, source=11), failed_record(2, source=12, retriable=True)
    write_segment(folder, SEGMENT, [one])
    follower = JournalFollower(folder, RUN)
    assert list(follower.read()) == [known(one)]
    folder.delete([SEGMENT])
    to_ledger(folder, "p1", one, two)
    assert list(follower.read()) == [known(one, may_be_old=True), known(two, may_be_old=True)]
    assert list(follower.read()) == []


def test_a_ledger_that_is_known_already_can_be_left_out(folder: LocalFolder) -> None:
    to_ledger(folder, "p1", answered(1))
    follower = JournalFollower(folder, RUN)
    follower.skip_ledger()
    to_ledger(folder, "p2", answered(2))
    assert list(follower.read()) == [known(answered(2), may_be_old=True)]
