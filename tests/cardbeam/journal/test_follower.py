"""Whatever a run's workers settle is told once it is whole, wherever it stands by then."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.journal.follower import Known, Tail
from cardbeam.model.record import Settled
from cardbeam.run_state.layout import JOURNAL, LEDGER, of_run
from cardbeam.storage.folder import LocalFolder
from cardbeam.tables.read_part import ledger_table
from cardbeam.tables.table_file import TableRows, write_parquet
from tests.records import RECORDS, answered, dead, segment, write_segment

RUN = "run-1"
SEGMENT = f"{of_run(JOURNAL, RUN)}/a-000000.journal"


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(str(tmp_path))


def known(one: Settled, *, may_be_old: bool = False) -> Known:
    names = ("item_id", "source_id", "outcome", "retriable", "uris")
    told = (getattr(one, name) for name in names)
    return Known(*told, may_be_old=may_be_old, code=one.code, input_id=one.input_id, last_at=one.last_at)


def to_ledger(folder: LocalFolder, name: str, *records: Settled) -> None:
    write_parquet(folder, TableRows(LEDGER, RUN, name, ledger_table(records)))


@given(records=st.lists(RECORDS, max_size=6), cuts=st.lists(st.integers(0, 4000), max_size=6))
def test_a_segment_that_grows_by_any_bytes_is_read_once(
    tmp_path_factory: pytest.TempPathFactory, records: list[Settled], cuts: list[int]
) -> None:
    folder = LocalFolder(str(tmp_path_factory.mktemp("output")))
    content = segment(SEGMENT, records)
    tail, told = Tail(folder, RUN), []
    for cut in sorted({min(cut, len(content)) for cut in cuts} | {len(content)}):
        folder.write(SEGMENT, content[:cut])
        told += list(tail.read())
    assert told == [known(one) for one in records]


def test_what_moves_from_the_journal_to_the_ledger_is_not_missed(folder: LocalFolder) -> None:
    one, two = answered(1, source=11), dead(2, source=12, retriable=True)
    write_segment(folder, SEGMENT, [one])
    tail = Tail(folder, RUN)
    assert list(tail.read()) == [known(one)]
    folder.delete([SEGMENT])
    to_ledger(folder, "p1", one, two)
    assert list(tail.read()) == [known(one, may_be_old=True), known(two, may_be_old=True)]
    assert list(tail.read()) == []


def test_a_ledger_that_is_known_already_can_be_left_out(folder: LocalFolder) -> None:
    to_ledger(folder, "p1", answered(1))
    tail = Tail(folder, RUN)
    tail.skip_ledger()
    to_ledger(folder, "p2", answered(2))
    assert list(tail.read()) == [known(answered(2), may_be_old=True)]
