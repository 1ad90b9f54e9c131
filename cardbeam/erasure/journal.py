"""Records of erased items, and dropped responses, in segments of the journal: each is written over where it stands.

Whoever takes the lock publishes the journal first, and removes it. What is left is damaged, or of a run that does not
add up; it stays as it is, byte for byte, but for these records.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import json
from msgspec.structs import replace

from cardbeam.erasure.drops import Drop
from cardbeam.erasure.rows import ItemSet
from cardbeam.journal.reader import list_segments
from cardbeam.journal.record_format import HEAD_BYTES, key_of, read_head, read_record
from cardbeam.model.record import RESPONSE_DROPPED, JournalRecord, RecordStatus
from cardbeam.run_state.layout import JOURNAL
from cardbeam.storage.folder import Folder

_HEAD = struct.Struct("<16sIIII")
_CRC = struct.Struct("<I")
_ERASED: dict[str, Any] = {
    "outcome": RecordStatus.ERASED.value,
    "code": RecordStatus.ERASED.value,
    "uris": (),
    "labels": (),
    "stage": None,
    "message": None,
    "image_bytes": None,
    "retriable": False,
    "response": None,
}


def erase_in_journal(folder: Folder, items: ItemSet, drops: Sequence[Drop] = ()) -> None:
    """Write over each record of these items, and each response that is dropped, in the segments that are left."""
    edit = _Edit(items, tuple((drop.items, int(drop.older_than.timestamp() * 1e6)) for drop in drops))
    for file in list(list_segments(folder, JOURNAL)):
        content = folder.read(file.path)
        erased = _erased(file.path, content, edit)
        if erased != content:
            folder.write(file.path, erased)


@dataclass(frozen=True, slots=True)
class _Edit:
    items: ItemSet
    drops: tuple[tuple[ItemSet | None, int], ...]
    """Items, or all, and before when they were answered, µs since 1970. A thumbnail goes with its whole response: the
    ledger holds the rest."""

    def of(self, record: JournalRecord) -> dict[str, Any]:
        """What changes in a record, by field."""
        if record.item_id in self.items.ids:
            return _ERASED
        is_due = record.response is not None and any(
            (items is None or record.item_id in items.ids) and record.completed_at < before
            for items, before in self.drops
        )
        if not is_due:
            return {}
        is_answer = record.outcome == RecordStatus.SUCCEEDED.value
        return {"response": None, **({"code": RESPONSE_DROPPED} if is_answer else {})}


def _erased(path: str, content: bytes, edit: _Edit) -> bytes:
    found, key = bytearray(content), key_of(path)
    for at, record in _records(content, key):
        if changes := edit.of(record):
            head = read_head(content, at, key)
            assert head is not None  # it was read before
            frame = _frame(key, head[0], replace(record, **changes), head[2])
            if len(frame) == head[2]:
                found[at : at + head[2]] = frame
    return bytes(found)


def _records(content: bytes, key: bytes) -> Iterator[tuple[int, JournalRecord]]:
    """Every whole record, with where its frame begins."""
    at = content.find(key)
    while at >= 0:
        head = read_head(content, at, key)
        record = read_record(content, at, head) if head is not None and at + head[2] <= len(content) else None
        if record is not None and head is not None:
            yield at, record
            at = content.find(key, at + head[2])
        else:
            at = content.find(key, at + 1)


def _frame(key: bytes, number: int, record: JournalRecord, frame_bytes: int) -> bytes:
    """A frame of the same size, padded with spaces, of a record without a response."""
    body_bytes = frame_bytes - HEAD_BYTES
    fields = json.encode(record)
    if len(fields) > body_bytes:  # of a record that names next to nothing
        fields = json.encode(replace(record, code=None))
    body = fields.ljust(body_bytes)
    head = _HEAD.pack(key, number, body_bytes, 0, zlib.crc32(body))
    return head + _CRC.pack(zlib.crc32(head)) + body
