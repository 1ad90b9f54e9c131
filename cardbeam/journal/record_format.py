"""A record as bytes and back: the format of the journal's segments.

A segment is a header and a row of frames, one for each record. Each frame repeats a key that follows from the name of
the segment, which is random: no response of an endpoint can hold it, so bytes within a response are never taken for a
frame. The head of a frame has a checksum of its own: its lengths are known before its record is there.

    header  magic, version, key (16 bytes), size of a segment that is written at once or 0, CRC-32 of these
    frame   key (16 bytes), number of the record in its segment, lengths of its fields and of its response, CRC-32 of
            both, CRC-32 of the head up to here; the fields as a JSON list, which ends with "" for a response and null
            for none; the response as it came
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from itertools import count
from pathlib import PurePosixPath
from typing import NamedTuple

from msgspec import MsgspecError, json
from msgspec.structs import force_setattr, replace

from cardbeam.model.record import JournalRecord, RecordStatus

_MAGIC, _VERSION = b"CBJ", b"3"
_HEADER = struct.Struct("<3sc16sQI")
_PLACE, _LENGTHS, _CRC = struct.Struct("<16sI"), struct.Struct("<III"), struct.Struct("<I")
_HEAD = struct.Struct("<16sIIIII")
HEADER_BYTES, HEAD_BYTES, KEY_BYTES = _HEADER.size, _HEAD.size, 16
_decode = json.Decoder(JournalRecord).decode
_OUTCOMES = frozenset(one.value for one in RecordStatus)
_HEX_DIGITS = "0123456789abcdef"


def key_of(path: str) -> bytes:
    """What each frame of a segment begins with."""
    return hashlib.sha256(PurePosixPath(path).stem.encode()).digest()[:KEY_BYTES]


def header(key: bytes, size_bytes: int = 0) -> bytes:
    """What a segment begins with; `size_bytes` is given where it is written at once."""
    fields = _HEADER.pack(_MAGIC, _VERSION, key, size_bytes, 0)[: -_CRC.size]
    return fields + _CRC.pack(zlib.crc32(fields))


def encode(record: JournalRecord) -> bytes:
    """A record, without the place that it gets in a segment."""
    response = record.response or b""
    fields = json.encode(replace(record, response=b"") if response else record)
    body = fields + response
    return _LENGTHS.pack(len(fields), len(response), zlib.crc32(body)) + body


def frames(key: bytes, first: int, encoded: Sequence[bytes]) -> bytes:
    """Encoded records as they follow each other in a segment; `first` is the number of the first."""
    pieces: list[bytes | memoryview] = []
    for number, record in zip(count(first), encoded, strict=False):
        head = _PLACE.pack(key, number) + record[: _LENGTHS.size]
        pieces += [head, _CRC.pack(zlib.crc32(head)), memoryview(record)[_LENGTHS.size :]]
    return b"".join(pieces)


def whole_segment(path: str, encoded: Sequence[bytes]) -> bytes:
    """A segment that is written at once, as objects are."""
    key = key_of(path)
    content = frames(key, 0, encoded)
    return header(key, HEADER_BYTES + len(content)) + content


class Header(NamedTuple):
    """What the first bytes of a segment say."""

    fault: str
    """What is wrong with them; empty where nothing is."""
    is_known: bool = True
    """Whether what follows is of the version that is read here."""
    size_bytes: int = 0
    """Of a segment that was written at once, else 0."""


def read_header(content: bytes, key: bytes) -> Header:
    """Check the first bytes of a segment."""
    if len(content) == HEADER_BYTES:
        size_bytes = _HEADER.unpack(content)[3]
        if content == header(key, size_bytes):
            return Header("", size_bytes=size_bytes)
    version = content[len(_MAGIC) : len(_MAGIC) + 1]
    if content.startswith(_MAGIC) and version.isdigit() and version != _VERSION:
        age = "an older" if version < _VERSION else "a newer"
        return Header(f"is of {age} format, CBJ{version.decode()}, that this version does not read", is_known=False)
    return Header("has a damaged header")


Head = tuple[int, int, int, int]
"""Number of a record; where its fields and its response end, from the first byte of its frame on; CRC-32 of both."""


def read_head(data: bytes, at: int, key: bytes) -> Head | None:
    """The head of the frame that begins at a byte; None where none does."""
    if at + HEAD_BYTES > len(data):
        return None
    found, number, fields_bytes, response_bytes, crc, head_crc = _HEAD.unpack_from(data, at)
    if found != key or head_crc != zlib.crc32(data[at : at + HEAD_BYTES - _CRC.size]):
        return None
    fields_end: int = HEAD_BYTES + fields_bytes
    return number, fields_end, fields_end + response_bytes, crc


def read_record(data: bytes, at: int, head: Head) -> JournalRecord | None:
    """The record of the frame that begins at a byte; None where it is damaged."""
    _, fields_end, end, crc = head
    if zlib.crc32(memoryview(data)[at + HEAD_BYTES : at + end]) != crc:
        return None
    try:
        record = _decode(data[at + HEAD_BYTES : at + fields_end])
    except (MsgspecError, UnicodeDecodeError):
        return None
    ids = record.item_id + (record.source_id or "")
    if record.outcome not in _OUTCOMES or ids.strip(_HEX_DIGITS):
        return None
    if record.response is not None:
        force_setattr(record, "response", data[at + fields_end : at + end])
    return record
