"""Records of erased items in segments of the journal that are still there: each is written over where it stands.

Whoever takes the lock publishes the journal first, and removes it. What is left is damaged, or of a run that does not
add up; it stays as it is, byte for byte, but for these records.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import orjson

from cardbeam.erasure.rows import ItemSet
from cardbeam.journal.reader import list_segments
from cardbeam.journal.record_format import HEAD_BYTES, key_of, read_head, read_record
from cardbeam.journal.record_types import FIELDS
from cardbeam.model.record import RecordStatus
from cardbeam.run_state.layout import JOURNAL
from cardbeam.storage.folder import Folder

_HEAD = struct.Struct("<16sIIII")
_CRC = struct.Struct("<I")
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


def erase_in_journal(folder: Folder, items: ItemSet) -> None:
    """Write over each record of these items in the segments that are left."""
    for file in list(list_segments(folder, JOURNAL)):
        content = folder.read(file.path)
        erased = _erased(file.path, content, items)
        if erased != content:
            folder.write(file.path, erased)


def _erased(path: str, content: bytes, items: ItemSet) -> bytes:
    found, key = bytearray(content), key_of(path)
    for at, row in _records(content, key):
        if row[FIELDS.index("item_id")] in items.ids:
            head = read_head(content, at, key)
            assert head is not None  # it was read before
            frame = _frame(key, head[0], row, head[2])
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


def _frame(key: bytes, number: int, row: list[object], frame_bytes: int) -> bytes:
    """A frame of the same size, padded with spaces, whose record says nothing but that it is erased."""
    room = frame_bytes - HEAD_BYTES
    fields = orjson.dumps([_ERASED.get(name, value) for name, value in zip(FIELDS, row, strict=True)])
    if len(fields) > room:  # of a record that names next to nothing
        without_code = _ERASED | {"code": None}
        fields = orjson.dumps([without_code.get(name, value) for name, value in zip(FIELDS, row, strict=True)])
    body = fields.ljust(room)
    head = _HEAD.pack(key, number, room, 0, zlib.crc32(body))
    return head + _CRC.pack(zlib.crc32(head)) + body
