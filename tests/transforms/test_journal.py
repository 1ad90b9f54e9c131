"""The write-ahead log: what was taken is durable, and nobody waits for ever."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.records import answered, stored_records
from transforms.frames import encode
from transforms.journal import LocalJournal, ObjectJournal, open_journal
from transforms.layout import JOURNAL
from transforms.storage import LocalFolder, StoredFile

FLUSH_NEVER_S = 1e6


def test_a_local_answer_is_on_disk_at_return(tmp_path: Path) -> None:
    """A record can be read by others as soon as `append` returns, before any flush or close."""
    folder = LocalFolder(str(tmp_path))
    journal = LocalJournal(folder, "r1")
    for count in range(1, 4):
        journal.append(answered(count))
        assert stored_records(folder) == [answered(number) for number in range(1, count + 1)]


def test_many_threads_share_the_waits_for_the_disk(tmp_path: Path) -> None:
    """Of appends from many threads at once each is durable at its return, and none is lost or doubled."""
    folder = LocalFolder(str(tmp_path))
    journal = LocalJournal(folder, "r1")
    missing: list[int] = []

    def append(number: int) -> None:
        journal.append(answered(number))
        if answered(number) not in stored_records(folder):
            missing.append(number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(append, range(64)))
    assert missing == []
    by_number = sorted(stored_records(folder), key=lambda one: int(one.uris[0].split("/")[1].split(".")[0]))
    assert by_number == [answered(number) for number in range(64)]


def test_two_writers_never_share_a_segment(tmp_path: Path) -> None:
    """Two journals of one run, as two workers or a restart open them, each write their own files."""
    folder = LocalFolder(str(tmp_path))
    first, second = LocalJournal(folder, "r1"), LocalJournal(folder, "r1")
    first.append(answered(1))
    second.append(answered(2))
    first.close()
    first.append(answered(3))
    assert len(list(folder.list(JOURNAL))) == 3
    assert {one.item_id for one in stored_records(folder)} == {answered(number).item_id for number in (1, 2, 3)}


def test_what_a_disk_refuses_is_written_with_the_next(tmp_path: Path) -> None:
    """An append that the disk refuses raises; its record is written when the disk is there again."""
    output = tmp_path / "output"
    output.write_bytes(b"a file where the folder should be")
    journal = LocalJournal(LocalFolder(str(output)), "r1")
    with pytest.raises(OSError, match="output"):
        journal.append(answered(1))
    output.unlink()
    journal.append(answered(2))
    assert stored_records(LocalFolder(str(output))) == [answered(1), answered(2)]


def test_a_disk_that_refuses_many_threads_leaves_none_waiting(tmp_path: Path) -> None:
    """Each of the appends under way raises or is durable, and what was refused is written with the next."""
    output = tmp_path / "output"
    output.write_bytes(b"a file where the folder should be")
    journal = LocalJournal(LocalFolder(str(output)), "r1")

    def append(number: int) -> bool:
        try:
            journal.append(answered(number))
        except OSError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        went_well = list(threads.map(append, range(64), timeout=30))
    output.unlink()
    journal.flush()
    kept = stored_records(LocalFolder(str(output)))
    assert went_well == [False] * 64
    assert sorted(record.item_id for record in kept) == sorted(answered(number).item_id for number in range(64))


def test_nothing_to_write_makes_no_file(tmp_path: Path) -> None:
    """A journal that is opened, flushed and closed leaves no trace."""
    folder = LocalFolder(str(tmp_path))
    for journal in (LocalJournal(folder, "r1"), ObjectJournal(folder, "r1", FLUSH_NEVER_S)):
        journal.flush()
        journal.close()
    assert list(folder.list("")) == []


def test_the_store_decides_which_journal_suits_it(tmp_path: Path) -> None:
    """A disk gets the journal that appends, a bucket the one that puts objects."""
    on_disk = open_journal(LocalFolder(str(tmp_path)), "r1", 5.0)
    in_bucket = open_journal(LocalFolder(str(tmp_path), is_local=False), "r1", 5.0)
    in_bucket.close()
    assert (type(on_disk), type(in_bucket)) == (LocalJournal, ObjectJournal)


def test_names_of_segments_say_their_run(tmp_path: Path) -> None:
    """A segment stands in its run's folder of the journal."""
    folder = LocalFolder(str(tmp_path))
    journal = LocalJournal(folder, "night-1")
    journal.append(answered(1))
    (file,) = folder.list(JOURNAL)
    assert file == StoredFile(file.path, len(encode(answered(1))))
    assert file.path.startswith("journal/run_id=night-1/") and file.path.endswith(".journal")
