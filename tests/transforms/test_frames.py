"""Records as bytes: what was written comes back, whatever happened to the rest of the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.records import RECORDS, decode, read_segment
from transforms.elements import Settled
from transforms.frames import encode, frames, read_rows, read_stored
from transforms.storage import LocalFolder

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


@given(st.lists(RECORDS, max_size=6), st.data())
def test_a_segment_is_read_in_pieces_as_it_is_whole(
    tmp_path_factory: pytest.TempPathFactory, records: list[Settled], data: st.DataObject
) -> None:
    """Torn, damaged or whole, from any byte and in pieces of any size: the same rows with the same ends."""
    segment = bytearray(b"".join(map(encode, records)))
    if segment and data.draw(st.booleans()):
        segment[data.draw(st.integers(0, len(segment) - 1))] ^= 0xFF
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(segment))] * 2)))
    folder = LocalFolder(str(tmp_path_factory.mktemp("segment")))
    Path(folder.root, "a.journal").write_bytes(segment)
    piece_bytes = data.draw(st.integers(1, len(segment) + 1))
    in_pieces = list(read_stored(folder, "a.journal", start, stop, piece_bytes))
    assert in_pieces == list(read_rows(bytes(segment[:stop]), start))
