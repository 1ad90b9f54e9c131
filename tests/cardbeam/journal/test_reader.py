"""The journal's segments: whatever happens to their bytes, whole records are read, none is invented, damage is told."""

from __future__ import annotations

import zlib
from itertools import pairwise
from pathlib import Path

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import asdict

from cardbeam.journal.reader import list_segments, read_stored
from cardbeam.journal.record_format import (
    HEAD_BYTES,
    HEADER_BYTES,
    encode,
    frames,
    header,
    key_of,
    read_header,
    whole_segment,
)
from cardbeam.model.record import JournalRecord
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import LocalFolder
from tests.records import RECORDS, answered, ends, segment

PATH = "journal/run_id=r1/0a-000000.journal"
SEVERAL = st.lists(RECORDS, max_size=6)
Read = tuple[list[JournalRecord], list[tuple[str, int]]]


def read(folder: LocalFolder, content: bytes, path: str = PATH) -> Read:
    """The records of a segment, and what is damaged: its path and how many records are lost, at least."""
    folder.write(path, content)
    damaged: list[DamagedFile] = []
    found = read_stored(folder, path, 0, len(content), on_damage=damaged.append)
    return [record for record, _ in found], [(one.path, one.records) for one in damaged]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> LocalFolder:
    return LocalFolder(str(tmp_path_factory.mktemp("output")))


@given(SEVERAL)
def test_a_segment_gives_back_its_records_in_order(folder: LocalFolder, records: list[JournalRecord]) -> None:
    """Any records are read as they were written, an empty response other than none, each with the byte after it."""
    content = segment(PATH, records)
    folder.write(PATH, content)
    assert list(read_stored(folder, PATH, 0, len(content))) == list(zip(records, ends(PATH, records)[1:], strict=True))


@given(SEVERAL)
def test_a_segment_that_is_written_at_once_is_read_the_same(folder: LocalFolder, records: list[JournalRecord]) -> None:
    """An object of a bucket holds the same frames; its header gives its size."""
    content = whole_segment(PATH, list(map(encode, records)))
    assert content[HEADER_BYTES:] == segment(PATH, records)[HEADER_BYTES:]
    assert read(folder, content) == (records, [])


@given(SEVERAL, st.data())
def test_a_torn_tail_costs_only_itself(folder: LocalFolder, records: list[JournalRecord], data: st.DataObject) -> None:
    """Cut anywhere behind its header, a segment that grows gives every whole record, and nothing is damaged."""
    content = segment(PATH, records)
    cut = data.draw(st.integers(HEADER_BYTES, len(content)))
    whole = [record for record, end in zip(records, ends(PATH, records)[1:], strict=True) if end <= cut]
    assert read(folder, content[:cut]) == (whole, [])


@given(SEVERAL, st.data())
def test_what_is_missing_of_an_object_is_damage(
    folder: LocalFolder, records: list[JournalRecord], data: st.DataObject
) -> None:
    """A segment that is written at once has no torn tail: a cut is damage, at the end of a record too."""
    content = whole_segment(PATH, list(map(encode, records)))
    cut = data.draw(st.integers(0, len(content) - 1) | st.sampled_from([0, *ends(PATH, records)[:-1]]))
    whole = [record for record, end in zip(records, ends(PATH, records)[1:], strict=True) if end <= cut]
    assert read(folder, content[:cut]) == (whole, [(PATH, 1)])


@given(st.lists(RECORDS, min_size=1, max_size=6), st.data())
def test_a_changed_byte_costs_only_its_record(
    folder: LocalFolder, records: list[JournalRecord], data: st.DataObject
) -> None:
    """With any byte changed all other records are read, and the one is counted; of the header's no record is lost."""
    content = bytearray(segment(PATH, records))
    at = data.draw(st.integers(len(b"CBJ2"), len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    hit = sum(end <= at for end in ends(PATH, records)) - 1
    if hit < 0:
        assert read(folder, bytes(content)) == (records, [(PATH, 0)])
    else:
        assert read(folder, bytes(content)) == ([*records[:hit], *records[hit + 1 :]], [(PATH, 1)])


@given(st.lists(RECORDS, min_size=1, max_size=6), st.data())
def test_bytes_that_are_cut_out_cost_only_their_records(
    folder: LocalFolder, records: list[JournalRecord], data: st.DataObject
) -> None:
    """Whatever is taken out before the last record, the records that it touches are lost and counted, no other."""
    content, bounds = segment(PATH, records), ends(PATH, records)
    start, stop = sorted(data.draw(st.tuples(*[st.integers(len(b"CBJ2"), bounds[-2])] * 2)))
    spans = zip(records, pairwise(bounds), strict=True)
    kept = [one for one, (begin, end) in spans if end <= start or begin >= stop or start == stop]
    lost = [(PATH, len(records) - len(kept))] if stop > start else []
    assert read(folder, content[:start] + content[stop:]) == (kept, lost)


@given(st.lists(RECORDS, min_size=1, max_size=6), st.data())
def test_bytes_that_are_put_in_cost_only_the_record_that_they_split(
    folder: LocalFolder, records: list[JournalRecord], data: st.DataObject
) -> None:
    """Noise anywhere before the last record: what is not split is read, and the damage is told where none is lost."""
    content, bounds = segment(PATH, records), ends(PATH, records)
    at = data.draw(st.integers(len(b"CBJ2"), bounds[-2]))
    noise = data.draw(st.binary(min_size=1, max_size=80))
    changed, moved = content[:at] + noise + content[at:], len(noise)
    kept = [
        one
        for one, (begin, end) in zip(records, pairwise(bounds), strict=True)
        if content[begin:end] in (changed[begin:end], changed[begin + moved : end + moved])
    ]
    assert read(folder, changed) == (kept, [(PATH, len(records) - len(kept))])


@given(SEVERAL, st.binary(min_size=1, max_size=200))
def test_what_stands_behind_the_last_record_is_damage(
    folder: LocalFolder, records: list[JournalRecord], noise: bytes
) -> None:
    """Noise at the end, zeros too, may have been a record: one is counted."""
    if not key_of(PATH).startswith(noise):
        assert read(folder, segment(PATH, records) + noise) == (records, [(PATH, 1)])
        assert read(folder, segment(PATH, records) + bytes(len(noise))) == (records, [(PATH, 1)])


@given(st.lists(RECORDS, min_size=1, max_size=4), st.data())
def test_a_record_that_stands_twice_is_read_once(
    folder: LocalFolder, records: list[JournalRecord], data: st.DataObject
) -> None:
    """Blocks of a file that were copied to a later place give nothing again; that no record is lost is told too."""
    content, bounds = segment(PATH, records), ends(PATH, records)
    again = data.draw(st.integers(0, len(records) - 1))
    copied = content[bounds[again] : bounds[again + 1]]
    at = data.draw(st.sampled_from(bounds[again + 1 : -1] or [0]))
    if at:
        assert read(folder, content[:at] + copied + content[at:]) == (records, [(PATH, 0)])


@pytest.mark.parametrize("other", ["journal/run_id=r1/0b-000000.journal", "journal/run_id=r1/0a-000001.journal"])
def test_a_response_is_never_read_as_records(folder: LocalFolder, other: str) -> None:
    """A response that holds a segment of another name, or frames of one, is a response, whatever is damaged."""
    forged = segment(other, [answered(7, response=b"FORGED")] * 3)
    for inner in (forged, forged[HEADER_BYTES:], forged * 2, header(key_of(PATH)) + forged):
        records = [answered(1), answered(2, response=inner), answered(3)]
        content = segment(PATH, records)
        assert read(folder, content) == (records, [])
        at = content.index(inner)
        assert read(folder, content[: at - 1] + b"?" + content[at:]) == ([records[0], records[2]], [(PATH, 1)])
        assert read(folder, content[:HEADER_BYTES] + content[at:]) == ([records[2]], [(PATH, 2)])
        assert read(folder, content[at:]) == ([records[2]], [(PATH, 2)])
        torn = content[: at + len(inner)]
        assert read(folder, torn[:-1]) == (records[:1], [])


@given(st.lists(RECORDS, min_size=1, max_size=5), st.data())
@example([answered(1, response=b"CBJ2" * 99), answered(2)], None)
def test_a_segment_is_read_in_pieces_as_it_is_whole(
    folder: LocalFolder, records: list[JournalRecord], data: st.DataObject | None
) -> None:
    """Torn, damaged or whole, from the end of any record on and in pieces of any size: the same rows, ends, damage."""
    content, starts = bytearray(segment(PATH, records)), [0, *ends(PATH, records)]
    start, stop, piece_bytes = 0, len(content), 1
    if data is not None:
        if data.draw(st.booleans()):
            content[data.draw(st.integers(0, len(content) - 1))] ^= 0xFF
        start = data.draw(st.sampled_from(starts))
        stop = data.draw(st.integers(start, len(content)))
        piece_bytes = data.draw(st.integers(1, len(content) + 1))
    folder.write(PATH, content)
    reported: list[list[str]] = [[], []]
    whole, pieces = (
        list(read_stored(folder, PATH, start, stop, piece_bytes=size, on_damage=lambda one, to=to: to.append(str(one))))
        for size, to in zip((2**20, piece_bytes), reported, strict=True)
    )
    assert (pieces, reported[1]) == (whole, reported[0])


@given(SEVERAL, st.lists(st.integers(0, 4000), max_size=6))
def test_a_segment_that_grows_by_any_bytes_is_read_once(
    folder: LocalFolder, records: list[JournalRecord], cuts: list[int]
) -> None:
    """Who reads on from the last whole record gets each once: one that is not whole yet is waited for."""
    content, at, found = segment(PATH, records), 0, []
    for cut in sorted({max(HEADER_BYTES, min(cut, len(content))) for cut in cuts} | {len(content)}):
        folder.write(PATH, content[:cut])
        for record, end in read_stored(folder, PATH, at, cut):
            found.append(record)
            at = end
    assert found == records


def test_damage_is_an_error_unless_told_otherwise(folder: LocalFolder) -> None:
    """Who reads on without a word of it would take an answer for one that was never paid for."""
    content = bytearray(segment(PATH, [answered(1), answered(2), answered(3)]))
    bounds = ends(PATH, [answered(1), answered(2), answered(3)])
    content[bounds[1] + HEAD_BYTES] ^= 1
    folder.write(PATH, content)
    with pytest.raises(DamagedFile) as raised:
        list(read_stored(folder, PATH, 0, len(content)))
    assert str(raised.value) == (
        f"{PATH} is damaged at byte {bounds[1]:,}, 1 record is lost. Restore the file, or see docs/operations.md"
    )


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"CBJ2\x10\0\0\0" + bytes(200), "is of an older format, CBJ2, that this version does not read"),
        (b"CBJ4" + segment(PATH, [answered(1)])[4:], "is of a newer format, CBJ4, that this version does not read"),
        (b"", "is damaged at byte 0, 1 record is lost"),
        (b"x" * 1000, "is damaged at byte 0, 1 record is lost"),
    ],
)
def test_another_format_is_refused_by_name(folder: LocalFolder, content: bytes, what: str) -> None:
    """No record is read of a segment of another version, nor is an empty or a foreign file one without records."""
    folder.write(PATH, content)
    with pytest.raises(DamagedFile, match=f"^{PATH} {what}"):
        list(read_stored(folder, PATH, 0, len(content)))
    assert read(folder, content) == ([], [(PATH, 1)])


BAD_VALUES = {
    "item_id": [None, "", "f" * 31, "g" * 32, 7, "F" * 32],
    "source_id": ["", "f" * 33, 7],
    "outcome": [None, "lost", 1, []],
    "operation": [None, 1],
    "uris": [None, "a", [1], [["a"]], {}],
    "labels": [None, [["a"]], [["a", 1]], ["ab"], [["a", "b", "c"]]],
    "started_at": [None, "0", 1.5, True, 2**63],
    "attempts": [None, "1", 2**31, True],
    "retriable": [None, 0, "no"],
    "latency_s": ["0", True],
    "http_status": ["200", 2**31],
    "image_bytes": [1.0, 2**63],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, bad in BAD_VALUES.items() for value in bad])
def test_a_record_with_a_wrong_value_is_damaged(folder: LocalFolder, field: str, value: object) -> None:
    """A frame may be whole and no record all the same: types, ids and ranges are checked."""
    values = {**asdict(answered(1)), "response": "", field: value}
    assert read(folder, segment(PATH, [answered(1)]) + _frame(orjson.dumps(list(values.values())))) == (
        [answered(1)],
        [(PATH, 1)],
    )


@pytest.mark.parametrize(
    "fields", [b"", b"{}", b"[]", b"7", b"[1,", b'"' + b"\xff" * 9 + b'"', b"[" + b"1," * 40 + b"1]"]
)
def test_what_is_no_list_of_values_is_damaged(folder: LocalFolder, fields: bytes) -> None:
    """Neither other JSON nor anything else is a record."""
    assert read(folder, segment(PATH, [answered(1)]) + _frame(fields)) == ([answered(1)], [(PATH, 1)])


def _frame(fields: bytes) -> bytes:
    """The second frame of a segment, whole by its checksums."""
    lengths = len(fields).to_bytes(4, "little") + bytes(4) + zlib.crc32(fields).to_bytes(4, "little")
    return frames(key_of(PATH), 1, [lengths + fields])


def test_every_field_has_a_kind(folder: LocalFolder) -> None:
    """A record with nothing in all fields that may be empty is a record, and so is one that is full."""
    empty = answered(1, http_status=None, attempts=0, latency_s=None, image_bytes=None, response=None)
    full = answered(2, source=1, labels=(("a", "b"),), stage="call", code="c", message="m", image_bytes=2**62)
    assert read(folder, segment(PATH, [empty, full])) == ([empty, full], [])


def test_only_segments_are_listed(tmp_path: Path) -> None:
    """What a killed writer or a person left beside them is no segment."""
    folder = LocalFolder(str(tmp_path))
    for name in ("a-000000.journal", ".a-000001.journal.0f.tmp", "a-000000.journal.bak", "notes.txt"):
        folder.write(f"journal/run_id=r1/{name}", b"")
    assert [file.path for file in list_segments(folder, "journal")] == ["journal/run_id=r1/a-000000.journal"]


def test_a_header_is_whole_or_has_a_fault() -> None:
    """Each of its bytes is under its checksum."""
    key = key_of(PATH)
    good = header(key, 77)
    assert read_header(good, key) == ("", True, 77)
    for at in range(len(good)):
        bad = bytes([*good[:at], good[at] ^ 1, *good[at + 1 :]])
        assert read_header(bad, key).fault != ""
    assert read_header(good, key_of("another")).fault != ""
