"""Records of erased items in a segment are written over where they stand; every other byte stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardbeam.erasure.journal import erase_in_journal
from cardbeam.erasure.rows import ItemSet
from cardbeam.model.record import JournalRecord, RecordStatus
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import LocalFolder
from tests.records import RECORDS, answered, ends, read_segment, segment

_PATH = "journal/run_id=a/writer-000000.journal"
_ERASED = RecordStatus.ERASED.value


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    """An empty output."""
    return LocalFolder(str(tmp_path))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(RECORDS, min_size=1, max_size=6), st.data())
def test_any_records(folder: LocalFolder, records: list[JournalRecord], data: st.DataObject) -> None:
    """The others are read as before; those of the item name no URI, no label and no response where they did."""
    item_id = data.draw(st.sampled_from([record.item_id for record in records]))
    records = [record for record in records if record.item_id != item_id or len("".join(record.uris)) > 5]
    before = segment(_PATH, records)
    folder.write(_PATH, before)
    erase_in_journal(folder, ItemSet([item_id]))
    assert len(folder.read(_PATH)) == len(before)
    for was, now in zip(records, read_segment(folder, _PATH), strict=True):
        if was.item_id != item_id:
            assert now == was
        else:
            assert (now.item_id, now.source_id, now.completed_at) == (item_id, was.source_id, was.completed_at)
            assert (now.outcome, now.uris, now.labels, now.response, now.message) == (_ERASED, (), (), None, None)


def test_a_damaged_segment(folder: LocalFolder) -> None:
    """Its whole records are erased, its damage stays where it is, and is told as before."""
    records = [answered(number, labels=(("customer", f"C-{number}"),)) for number in range(4)]
    content = bytearray(segment(_PATH, records))
    content[ends(_PATH, records)[2] + 60] ^= 1
    folder.write(_PATH, bytes(content))
    damaged: list[DamagedFile] = []
    read_segment(folder, _PATH, damaged.append)
    erase_in_journal(folder, ItemSet([records[1].item_id, records[3].item_id]))
    again: list[DamagedFile] = []
    left = read_segment(folder, _PATH, again.append)
    assert [record.outcome for record in left] == ["succeeded", _ERASED, _ERASED]
    assert list(map(str, again)) == list(map(str, damaged))
    assert b"C-1" not in folder.read(_PATH)
    assert b"C-3" not in folder.read(_PATH)
    assert b"C-0" in folder.read(_PATH)
