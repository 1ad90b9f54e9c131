"""The write-ahead log: what was written comes back, whatever happened to the rest of the file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.records import RECORDS, answered, stored_records
from transforms.elements import Settled
from transforms.journal import LocalJournal, ObjectJournal, decode, encode, frames, open_journal, read_segment
from transforms.layout import JOURNAL
from transforms.storage import LocalFolder, StoredFile

FLUSH_NEVER_S = 1e6
SEVERAL = st.lists(RECORDS, max_size=6)


def records_of(segment: bytes) -> list[Settled]:
    return [settled for settled, _ in read_segment(segment)]


@given(RECORDS)
def test_a_frame_gives_back_its_record(record: Settled) -> None:
    """Any record is read as it was written, an empty reply other than none."""
    assert decode(encode(record)) == record


@given(SEVERAL)
def test_a_segment_gives_back_its_records_in_order(records: list[Settled]) -> None:
    """Frames follow each other without a gap, and each record comes with the byte after it."""
    written = [encode(record) for record in records]
    ends = [sum(map(len, written[: number + 1])) for number in range(len(written))]
    assert list(read_segment(b"".join(written))) == list(zip(records, ends, strict=True))
    assert list(frames(b"".join(written))) == list(zip([0, *ends], ends, strict=False))


@given(SEVERAL, st.data())
def test_a_torn_tail_costs_only_itself(records: list[Settled], data: st.DataObject) -> None:
    """Cut anywhere, a segment gives back every record that is whole."""
    written = [encode(record) for record in records]
    segment = b"".join(written)
    cut = data.draw(st.integers(0, len(segment)))
    whole = [record for number, record in enumerate(records) if sum(map(len, written[: number + 1])) <= cut]
    assert records_of(segment[:cut]) == whole


@given(st.lists(RECORDS, min_size=1, max_size=6), st.data())
def test_a_damaged_byte_costs_only_its_record(records: list[Settled], data: st.DataObject) -> None:
    """With any byte changed, every record before and after the damaged one comes back."""
    written = [encode(record) for record in records]
    hit = data.draw(st.integers(0, len(records) - 1))
    frame = bytearray(written[hit])
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    segment = b"".join([*written[:hit], bytes(frame), *written[hit + 1 :]])
    assert records_of(segment) == [*records[:hit], *records[hit + 1 :]]


@given(st.lists(st.tuples(SEVERAL, st.none() | st.tuples(RECORDS, st.floats(0, 1, exclude_max=True))), max_size=4))
def test_torn_segments_can_be_joined(segments: list[tuple[list[Settled], tuple[Settled, float] | None]]) -> None:
    """Segments that each end in a torn frame, one after another, give back all whole records of all."""
    joined = b""
    for records, torn in segments:
        joined += b"".join(map(encode, records))
        if torn is not None:
            frame = encode(torn[0])
            joined += frame[: int(len(frame) * torn[1])]
    assert records_of(joined) == [record for records, _ in segments for record in records]


@given(st.binary(max_size=200), RECORDS)
def test_noise_is_passed_over(noise: bytes, record: Settled) -> None:
    """Bytes that are no frame raise nothing and hide no frame after them."""
    assert records_of(noise + encode(record)) == [record]


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
