"""processed records for tests: one with every field, and any that hypothesis can think of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

from hypothesis import strategies as st
from msgspec.structs import replace

from cardbeam.index.record_keys import RecordKeys
from cardbeam.journal.reader import list_segments, read_stored
from cardbeam.journal.record_format import encode, frames, header, key_of
from cardbeam.model.record import JournalRecord, RecordStatus
from cardbeam.run_state.layout import JOURNAL
from cardbeam.storage.damaged_file import OnDamage, refuse
from cardbeam.storage.folder import Folder

ANSWER = json.dumps({"errorCode": "0", "data": [{"type": "passport", "info": {"id": "B0000001"}}]}).encode()


def hex_id(number: int) -> str:
    """An id of 128 bits, spread as hashes are."""
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


def answered(item: int, *, completed_at: int = 0, source: int | None = None, **others: object) -> JournalRecord:
    """A record of an answer, one call, at a time in µs."""
    record = JournalRecord(
        item_id=hex_id(item),
        source_id=None if source is None else hex_id(source),
        outcome=RecordStatus.SUCCEEDED.value,
        operation="ekyc/card",
        uris=(f"images/{item}.jpg",),
        labels=(),
        started_at=0,
        completed_at=completed_at,
        http_status=200,
        attempts=1,
        latency_s=0.5,
        image_bytes=1000,
        response=ANSWER,
    )
    return replace(record, **others)


def failed_record(item: int, *, completed_at: int = 0, source: int | None = None, **others: object) -> JournalRecord:
    """A record of a failure that the endpoint caused, final unless told otherwise."""
    failure = {"stage": "call", "code": "error_1", "message": "The photo does not contain content", "response": None}
    record = answered(item, completed_at=completed_at, source=source, outcome=RecordStatus.FAILED.value)
    return replace(record, **{**failure, **others})


def copy(item: int, *, completed_at: int = 0, source: int | None = None, **others: object) -> JournalRecord:
    """A record of a copy, for which nothing was sent."""
    nothing_sent = {"http_status": None, "attempts": 0, "latency_s": None, "image_bytes": None, "response": None}
    record = answered(item, completed_at=completed_at, source=source, outcome=RecordStatus.DUPLICATE.value)
    return replace(record, **{**nothing_sent, **others})


def segment(path: str, records: Iterable[JournalRecord]) -> bytes:
    """A segment of a journal, as it grows on a disk; its bytes depend on the name of its file."""
    return header(key_of(path)) + frames(key_of(path), 0, list(map(encode, records)))


def write_segment(folder: Folder, path: str, records: Iterable[JournalRecord]) -> None:
    """Put a segment with some records in place."""
    folder.write(path, segment(path, records))


def ends(path: str, records: Sequence[JournalRecord]) -> list[int]:
    """Where the records of a segment end; the first number is where its header does."""
    return [len(segment(path, records[:number])) for number in range(len(records) + 1)]


def read_segment(folder: Folder, path: str, on_damage: OnDamage = refuse) -> list[JournalRecord]:
    """Every whole record of a segment."""
    size_bytes = len(folder.read(path))
    return [record for record, _ in read_stored(folder, path, 0, size_bytes, on_damage=on_damage)]


def stored_records(folder: Folder) -> list[JournalRecord]:
    """All records of all journals of an output, as a reader finds them."""
    return [one for file in list_segments(folder, JOURNAL) for one in read_segment(folder, file.path)]


def keys_of(record: JournalRecord) -> RecordKeys:
    """What the index takes of a record."""
    return record.item_id, record.source_id, record.outcome, record.retriable, record.code, record.input_id


TEXT = st.text(max_size=12)
IDS = st.integers(0, 2**128 - 1).map(lambda number: f"{number:032x}")
TIMES_US = st.integers(0, 2**50)
RECORDS: st.SearchStrategy[JournalRecord] = st.builds(
    JournalRecord,
    item_id=IDS,
    source_id=st.none() | IDS,
    outcome=st.sampled_from([one.value for one in RecordStatus]),
    operation=st.sampled_from(["ekyc/card", "ekyc/cards", "ocr/card"]),
    uris=st.lists(TEXT, max_size=2).map(tuple),
    labels=st.lists(st.tuples(TEXT, TEXT), max_size=2).map(tuple),
    started_at=TIMES_US,
    completed_at=TIMES_US,
    stage=st.none() | TEXT,
    code=st.none() | TEXT,
    message=st.none() | TEXT,
    http_status=st.none() | st.integers(100, 599),
    attempts=st.integers(0, 9),
    retriable=st.booleans(),
    latency_s=st.none() | st.floats(0, 600, width=32),
    image_bytes=st.none() | st.integers(0, 2**40),
    response=st.none() | st.binary(max_size=60) | st.just(b"CBJ3" * 9),
)
"""Any record at all; responses may be empty, and may hold the mark that a frame begins with."""
