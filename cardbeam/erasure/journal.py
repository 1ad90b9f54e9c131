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

import orjson

from cardbeam.erasure.drops import Drop
from cardbeam.erasure.rows import ItemSet
from cardbeam.journal.reader import list_segments
from cardbeam.journal.record_format import HEAD_BYTES, key_of, read_head, read_record
from cardbeam.journal.record_types import FIELDS
from cardbeam.model.record import RESPONSE_DROPPED, RecordStatus
from cardbeam.run_state.layout import JOURNAL
from cardbeam.storage.folder import Folder

_HEAD = struct.Struct("<16sIIII")
_CRC = struct.Struct("<I")
_ASKED = tuple(map(FIELDS.index, ("item_id", "outcome", "completed_at", "response")))
_ERASED: dict[str, Any] = {
    "outcome": RecordStatus.ERASED.value,
    "code": RecordStatus.ERASED.value,
    "uris": [],
    "labels": [],
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

    def of(self, row: list[object]) -> dict[str, Any]:
        """What changes in a record, by field."""
        item_id, outcome, at, response = (row[one] for one in _ASKED)
        if item_id in self.items.ids:
            return _ERASED
        is_due = response is not None and any(
            (items is None or item_id in items.ids) and int(str(at)) < before for items, before in self.drops
        )
        if not is_due:
            return {}
        is_answer = outcome == RecordStatus.SUCCEEDED.value
        return {"response": None, **({"code": RESPONSE_DROPPED} if is_answer else {})}


def _erased(path: str, content: bytes, edit: _Edit) -> bytes:
    found, key = bytearray(content), key_of(path)
    for at, row in _records(content, key):
        if changes := edit.of(row):
            head = read_head(content, at, key)
            assert head is not None  # it was read before
            frame = _frame(key, head[0], row, head[2], changes)
            if len(frame) == head[2]:
                found[at : at + head[2]] = frame
    return bytes(found)


def _records(content: bytes, key: bytes) -> Iterator[tuple[int, list[object]]]:
    """Every whole record, with where its frame begins."""
    at = content.find(key)
    while at >= 0:
        head = read_head(content, at, key)
        row = read_record(content, at, head) if head is not None and at + head[2] <= len(content) else None
        if row is not None and head is not None:
            yield at, row
            at = content.find(key, at + head[2])
        else:
            at = content.find(key, at + 1)


def _frame(key: bytes, number: int, row: list[object], frame_bytes: int, changes: dict[str, Any]) -> bytes:
    """A frame of the same size, padded with spaces, whose record has these changes."""
    room = frame_bytes - HEAD_BYTES
    fields = orjson.dumps([changes.get(name, value) for name, value in zip(FIELDS, row, strict=True)])
    if len(fields) > room:  # of a record that names next to nothing
        without_code = changes | {"code": None}
        fields = orjson.dumps([without_code.get(name, value) for name, value in zip(FIELDS, row, strict=True)])
    body = fields.ljust(room)
    head = _HEAD.pack(key, number, room, 0, zlib.crc32(body))
    return head + _CRC.pack(zlib.crc32(head)) + body
