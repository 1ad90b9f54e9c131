"""The write-ahead log: what was taken is durable, and nobody waits for ever."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from cardbeam.journal import local_writer as module
from cardbeam.journal.local_writer import JournalFailed, LocalJournal
from cardbeam.journal.object_writer import ObjectJournal
from cardbeam.journal.open import open_journal
from cardbeam.run_state.layout import JOURNAL
from cardbeam.storage.folder import LocalFolder, StoredFile
from tests.records import answered, read_segment, segment, stored_records

FLUSH_NEVER_S = 1e6


def test_a_local_answer_is_on_disk_at_return(tmp_path: Path) -> None:
    """A record can be read by others as soon as `append` returns, before any flush or close."""
    folder = LocalFolder(str(tmp_path))
    journal = LocalJournal(folder, "r1")
    for last in range(1, 4):
        journal.append(answered(last))
        assert stored_records(folder) == [answered(number) for number in range(1, last + 1)]


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
    """Each of the appends in progress raises or is durable, and what was refused is written with the next."""
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
    assert file == StoredFile(file.path, len(segment(file.path, [answered(1)])))
    assert file.path.startswith("journal/run_id=night-1/") and file.path.endswith(".journal")


class Disk:
    """Stands in for the call that waits for the disk: notes how much was durable at each, and fails when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.synced, self.error, self.fails_at = list[int](), OSError(), set[int]()
        self._count = count()
        monkeypatch.setattr(module, "_sync", self.sync)

    def sync(self, descriptor: int) -> None:
        if next(self._count) in self.fails_at:
            raise self.error
        os.fsync(descriptor)
        self.synced.append(os.fstat(descriptor).st_size)


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(str(tmp_path))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_a_record_is_flushed_to_the_disk_before_append_returns(disk: Disk, folder: LocalFolder) -> None:
    """The header once, then each record with all of its bytes: what is only in the system's memory is lost with it."""
    journal = LocalJournal(folder, "r1")
    for number in (1, 2):
        journal.append(answered(number))
        (file,) = folder.list(JOURNAL)
        assert (len(disk.synced), disk.synced[-1]) == (1 + number, file.size_bytes)


def test_an_append_waits_while_its_record_is_not_durable(monkeypatch: pytest.MonkeyPatch, folder: LocalFolder) -> None:
    """While the disk takes one record no append returns; one wait then serves all that came meanwhile."""
    journal, may_sync, syncing = LocalJournal(folder, "r1"), threading.Event(), threading.Semaphore(0)
    journal.check()
    syncs: list[int] = []

    def sync(descriptor: int) -> None:
        syncing.release()
        assert may_sync.wait(30)
        syncs.append(descriptor)

    monkeypatch.setattr(module, "_sync", sync)
    with ThreadPoolExecutor(3) as threads:
        appends = [threads.submit(journal.append, answered(1))]
        assert syncing.acquire(timeout=30)
        appends += [threads.submit(journal.append, answered(number)) for number in (2, 3)]
        while len(journal._pending) < 2:  # until both wait behind the first
            assert not any(one.done() for one in appends)
        assert [one.done() for one in appends] == [False] * 3
        may_sync.set()
    assert (len(syncs), len(stored_records(folder))) == (2, 3)


def test_the_name_of_a_segment_is_durable(monkeypatch: pytest.MonkeyPatch, folder: LocalFolder) -> None:
    """Folders that are made on the way are flushed, and that of the segment after it got its name, once a segment."""
    synced: list[str] = []
    folders = {Path(folder.root).stat().st_ino: ""}
    fsync = os.fsync

    def record_sync(descriptor: int) -> None:
        folders.update((path.stat().st_ino, path.name) for path in Path(folder.root).rglob("*") if path.is_dir())
        synced.append(folders.get(os.fstat(descriptor).st_ino, "a file"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(module, "_sync", lambda descriptor: None)
    monkeypatch.setattr(module, "_SEGMENT_BYTES", 1)
    journal = LocalJournal(folder, "r1")
    journal.append(answered(1))
    assert synced == ["", "journal", "run_id=r1"]
    journal.append(answered(2))
    journal.append(answered(3))
    assert synced[3:] == ["run_id=r1"] * 2


def test_large_segments_are_followed_by_others(monkeypatch: pytest.MonkeyPatch, folder: LocalFolder) -> None:
    """Past the bound a new file begins, and records go on into it: none is lost, all files are whole."""
    monkeypatch.setattr(module, "_SEGMENT_BYTES", len(segment("x", [answered(1)])))
    journal = LocalJournal(folder, "r1")
    for number in range(5):
        journal.append(answered(number))
    journal.close()
    found = [read_segment(folder, file.path) for file in folder.list(JOURNAL)]
    assert found == [[answered(0), answered(1)], [answered(2), answered(3)], [answered(4)]]


@pytest.mark.parametrize("is_local", [True, False])
def test_a_journal_is_proven_before_the_first_record(folder: LocalFolder, is_local: bool) -> None:
    """The first check leaves a whole segment without a record; further ones write nothing."""
    journal = open_journal(LocalFolder(folder.root, is_local=is_local), "r1", FLUSH_NEVER_S)
    journal.check()
    (file,) = folder.list(JOURNAL)
    assert read_segment(folder, file.path) == []
    journal.check()
    journal.append(answered(1))
    journal.check()
    journal.close()
    assert stored_records(folder) == [answered(1)]


def test_nothing_may_be_sent_after_a_record_could_not_be_written(disk: Disk, folder: LocalFolder) -> None:
    """The first append that fails fails every check from then on, in the system's words; its record is kept."""
    disk.fails_at, disk.error = {2}, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    journal = LocalJournal(folder, "r1")
    journal.append(answered(1))
    journal.check()
    with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device: '.*/journal/run_id=r1/.*\.journal'$"):
        journal.append(answered(2))
    for _ in range(2):
        with pytest.raises(JournalFailed, match="No space left on device"):
            journal.check()
    journal.append(answered(3))
    with pytest.raises(JournalFailed, match="No space left on device"):
        journal.check()
    by_number = sorted(stored_records(folder), key=lambda one: one.uris)
    assert by_number == [answered(1), answered(2), answered(3)]


def test_a_segment_whose_write_failed_is_left(disk: Disk, folder: LocalFolder) -> None:
    """What may be there of its records is cut off, and they go to another segment: none stands twice."""
    disk.fails_at, disk.error = {2}, OSError(errno.EIO, "Input/output error")
    journal = LocalJournal(folder, "r1")
    journal.append(answered(1))
    with pytest.raises(OSError, match="Input/output error"):
        journal.append(answered(2))
    journal.flush()
    found = [read_segment(folder, file.path) for file in folder.list(JOURNAL)]
    assert found == [[answered(1)], [answered(2)]]


def test_a_disk_that_is_full_at_first_is_told_before_anything_is_sent(disk: Disk, folder: LocalFolder) -> None:
    """A segment that cannot be made leaves no file, and nothing may be sent."""
    disk.fails_at, disk.error = {0}, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    journal = LocalJournal(folder, "r1")
    with pytest.raises(OSError, match="No space left on device"):
        journal.check()
    with pytest.raises(JournalFailed, match="No space left on device"):
        journal.check()
    assert list(folder.list(JOURNAL)) == []


def test_a_store_that_takes_nothing_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    """A bucket is asked to take a segment first."""
    output = tmp_path / "output"
    output.write_bytes(b"a file where the folder should be")
    journal = ObjectJournal(LocalFolder(str(output)), "r1", FLUSH_NEVER_S)
    with pytest.raises(OSError, match="output"):
        journal.check()
    output.unlink()
    with pytest.raises(JournalFailed, match="output"):
        journal.check()
    assert list(LocalFolder(str(output)).list("")) == []


_OVER_A_LIMIT = """
import resource, signal, sys
from tests.records import answered
from cardbeam.journal.local_writer import LocalJournal
from cardbeam.storage.folder import LocalFolder

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
journal = LocalJournal(LocalFolder(sys.argv[1]), "r1")
try:
    for number in range(100):
        journal.append(answered(number))
except OSError as error:
    print(number, error.strerror)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""


def test_a_write_that_is_cut_short_is_made_good_at_the_end(folder: LocalFolder) -> None:
    """The system takes a part of a record only; the process tries it again before it ends."""
    command = [sys.executable, "-c", _OVER_A_LIMIT, folder.root]
    ended = subprocess.run(command, check=True, cwd=Path(__file__).resolve().parents[3], capture_output=True, text=True)
    number, words = ended.stdout.strip().split(" ", 1)
    assert (int(number) > 1, words) == (True, os.strerror(errno.EFBIG))
    found = [read_segment(folder, file.path) for file in folder.list(JOURNAL)]
    expected = [[answered(one) for one in range(int(number))], [answered(int(number))]]
    assert sorted(found, key=len, reverse=True) == expected
