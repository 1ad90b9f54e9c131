"""The journal of a bucket: records put as whole objects, none lost where the store refuses or lags."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardbeam.journal.local_writer import JournalFailed
from cardbeam.journal.object_writer import ObjectJournal
from cardbeam.model.record import JournalRecord
from cardbeam.run_state.layout import JOURNAL
from cardbeam.storage.folder import LocalFolder
from tests.records import RECORDS, answered, failed_record, read_segment, stored_records

FLUSH_NEVER_S = 1e6
ROOT = Path(__file__).resolve().parents[3]


class Refusing(LocalFolder):
    """A store that refuses the next writes with an error of its own kind, as a client library does."""

    errors: list[Exception] = []  # noqa: RUF012  # set by each test

    def write(self, path: str, content: bytes) -> None:
        if self.errors:
            raise self.errors.pop()
        LocalFolder.write(self, path, content)


@pytest.fixture
def refusing(tmp_path: Path) -> Iterator[Refusing]:
    Refusing.errors = []
    yield Refusing(str(tmp_path))


@pytest.mark.parametrize("error", [OSError("slow down"), RuntimeError("a client library's own")])
def test_what_a_bucket_refuses_is_kept_for_the_next_flush(refusing: Refusing, error: Exception) -> None:
    """A flush that fails raises, loses nothing, and the next one puts the records in their order."""
    journal = ObjectJournal(refusing, "r1", FLUSH_NEVER_S)
    journal.append(answered(1))
    Refusing.errors = [error]
    with pytest.raises(type(error)):
        journal.flush()
    journal.append(failed_record(2))
    journal.flush()
    assert stored_records(refusing) == [answered(1), failed_record(2)]


def test_an_object_is_the_same_however_often_it_is_put(tmp_path: Path) -> None:
    """A put whose response was lost may arrive after the next: it must not undo what that one brought."""

    class Lagging(LocalFolder):
        def write(self, path: str, content: bytes) -> None:
            if late:
                LocalFolder.write(self, path, content)
            else:
                late.append((path, content))
                raise OSError("no response in time")

    late: list[tuple[str, bytes]] = []
    journal = ObjectJournal(Lagging(str(tmp_path)), "r1", FLUSH_NEVER_S)
    journal.append(answered(1))
    with pytest.raises(OSError, match="no response"):
        journal.flush()
    journal.append(answered(2))
    journal.flush()
    LocalFolder(str(tmp_path)).write(*late[0])
    assert stored_records(LocalFolder(str(tmp_path))) == [answered(1), answered(2)]


def test_whoever_brings_a_record_to_a_store_in_trouble_waits_for_it(refusing: Refusing) -> None:
    """Once a put is overdue every append puts what there is, and raises if it cannot; before that it does not."""
    now_s = [0.0]
    journal = ObjectJournal(refusing, "r1", FLUSH_NEVER_S, clock=lambda: now_s[0])
    Refusing.errors = [OSError("slow down"), OSError("slow down")]
    journal.append(answered(1))
    with pytest.raises(OSError, match="slow down"):
        journal.flush()
    journal.append(answered(2))
    now_s[0] = FLUSH_NEVER_S + 1
    with pytest.raises(OSError, match="slow down"):
        journal.append(answered(3))
    assert stored_records(refusing) == []
    journal.append(answered(4))
    assert stored_records(refusing) == [answered(number) for number in (1, 2, 3, 4)]
    journal.append(answered(5))
    assert len(stored_records(refusing)) == 4


def test_a_request_that_comes_to_a_store_in_trouble_waits_for_it(refusing: Refusing) -> None:
    """Once a put is overdue the next request puts what there is before it may be sent; if it cannot, none may be."""
    now_s = [0.0]
    journal = ObjectJournal(refusing, "r1", FLUSH_NEVER_S, clock=lambda: now_s[0])
    journal.check()
    journal.append(answered(1))
    Refusing.errors = [OSError("slow down")]
    with suppress(OSError):
        journal._flush()  # as the timer does, which tries again later
    journal.check()
    assert stored_records(refusing) == []
    now_s[0] = FLUSH_NEVER_S + 1
    journal.check()
    assert stored_records(refusing) == [answered(1)]
    Refusing.errors = [OSError("slow down")] * 2
    journal.append(answered(2))
    with suppress(OSError):
        journal._flush()
    now_s[0] += FLUSH_NEVER_S + 1
    with pytest.raises(OSError, match=r"^slow down$"):
        journal.check()
    with pytest.raises(JournalFailed, match="slow down"):
        journal.check()
    journal.close()
    assert stored_records(refusing) == [answered(1), answered(2)]


def test_what_comes_during_a_put_goes_with_the_next(tmp_path: Path) -> None:
    """A record that is appended while a bucket takes those before it is in the next object."""

    class Slow(LocalFolder):
        def write(self, path: str, content: bytes) -> None:
            LocalFolder.write(self, path, content)
            if len(meanwhile) == 1:
                journal.append(meanwhile.pop())

    folder, meanwhile = Slow(str(tmp_path)), [answered(2)]
    journal = ObjectJournal(folder, "r1", FLUSH_NEVER_S)
    journal.append(answered(1))
    journal.flush()
    assert stored_records(folder) == [answered(1)]
    journal.flush()
    assert stored_records(folder) == [answered(1), answered(2)]


def test_a_bucket_gets_one_object_for_many_records(tmp_path: Path) -> None:
    """Records go as one object when there are enough of them, and the rest at the close."""
    folder = LocalFolder(str(tmp_path))
    journal = ObjectJournal(folder, "r1", FLUSH_NEVER_S, flush_records=3)
    for number in range(4):
        journal.append(answered(number))
    assert stored_records(folder) == [answered(number) for number in range(3)]
    journal.close()
    assert [len(read_segment(folder, file.path)) for file in folder.list(JOURNAL)] == [3, 1]


def test_a_bucket_gets_what_waits_long_enough(tmp_path: Path) -> None:
    """Without another append or flush, records are put after `flush_s`."""
    written = threading.Event()

    class Telling(LocalFolder):
        def write(self, path: str, content: bytes) -> None:
            LocalFolder.write(self, path, content)
            written.set()

    folder = Telling(str(tmp_path))
    journal = ObjectJournal(folder, "r1", flush_s=0.01)
    journal.append(answered(1))
    assert written.wait(30)
    assert stored_records(folder) == [answered(1)]
    journal.close()


@settings(max_examples=20)
@given(st.lists(st.lists(RECORDS, max_size=5), max_size=4))
def test_a_bucket_gives_back_what_was_flushed(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[JournalRecord]]
) -> None:
    """Records of any number of flushes come back in order, no object is written twice."""
    folder = LocalFolder(str(tmp_path_factory.mktemp("bucket")))
    journal = ObjectJournal(folder, "r1", FLUSH_NEVER_S)
    for batch in batches:
        for record in batch:
            journal.append(record)
        journal.flush()
    journal.close()
    assert stored_records(folder) == [record for batch in batches for record in batch]
    assert len(list(folder.list(JOURNAL))) == sum(map(bool, batches))


_INTERRUPTED = """
import sys
from concurrent.futures import ThreadPoolExecutor
from tests.records import answered
from cardbeam.journal.object_writer import ObjectJournal
from cardbeam.storage.folder import LocalFolder

journal = ObjectJournal(LocalFolder(sys.argv[1]), "r1", 1e6)
ThreadPoolExecutor(1).submit(journal.append, answered(1))
sys.exit(130)
"""


def test_a_process_that_ends_early_puts_what_its_calls_brought(tmp_path: Path) -> None:
    """Interrupted say, or failed elsewhere; calls in progress come to their end first."""
    ended = subprocess.run([sys.executable, "-c", _INTERRUPTED, str(tmp_path)], check=False, cwd=ROOT)
    assert (ended.returncode, stored_records(LocalFolder(str(tmp_path)))) == (130, [answered(1)])
