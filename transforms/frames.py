"""A settled input as bytes and back: the frames that a journal's segments are rows of.

A frame is a magic, lengths, a CRC-32, the record's fields as a JSON list, the reply as it came, and an end
mark. A reader skips what is torn or damaged and finds the next whole frame, so no crash makes a journal unreadable.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from operator import attrgetter
from typing import Any

import orjson

from transforms.elements import Settled
from transforms.storage import Folder

_HEAD = struct.Struct("<4sIII")
_MAGIC = b"CBJ1"
_END = b"\n"
"""No frame begins with it: else a torn frame and the start of the next one could pass for a whole one."""
_PIECE_BYTES = 1024 * 1024
_SMALL_BYTES = 4 * 1024 * 1024
_Rows = Iterator[tuple[list[Any], int]]
FIELDS: tuple[str, ...] = Settled.__slots__
"""What a record holds, in its order; the reply is the last and stands behind the others as it came."""
_values = attrgetter(*FIELDS[:-1])


def encode(settled: Settled) -> bytes:
    """One record as a frame."""
    header = orjson.dumps(_values(settled))
    reply = settled.reply
    if reply is None:
        header, reply = header[:-1] + b",null]", b""
    body = header + reply
    return b"".join([_HEAD.pack(_MAGIC, len(header), len(reply), zlib.crc32(body)), body, _END])


def frames(segment: bytes, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, int]]:
    """Start and end of every whole frame that begins between two bytes; what is torn or damaged is passed over."""
    while (start := segment.find(_MAGIC, start, stop)) >= 0 and start + _HEAD.size <= len(segment):
        _, header_bytes, reply_bytes, crc = _HEAD.unpack_from(segment, start)
        body_end = start + _HEAD.size + header_bytes + reply_bytes
        end = body_end + len(_END)
        is_whole = segment[body_end:end] == _END
        if is_whole and zlib.crc32(memoryview(segment)[start + _HEAD.size : body_end]) == crc:
            yield start, end
            start = end
        else:
            start += 1


def decode_row(frame: bytes) -> list[Any]:
    """A whole frame as its values in the order of `FIELDS`, lists where the record has tuples."""
    _, header_bytes, _, _ = _HEAD.unpack_from(frame)
    row: list[Any] = orjson.loads(frame[_HEAD.size : _HEAD.size + header_bytes])
    if len(row) < len(FIELDS):
        row.append(frame[_HEAD.size + header_bytes : -len(_END)])
    return row


def read_rows(segment: bytes, start: int = 0, stop: int | None = None) -> _Rows:
    """Every whole record of a segment between two bytes as a row, with the byte after it."""
    return ((decode_row(segment[start:end]), end) for start, end in frames(segment, start, stop))


def read_stored(folder: Folder, path: str, start: int, stop: int, piece_bytes: int = _PIECE_BYTES) -> _Rows:
    """Every whole record of a stored segment between two bytes, a few MB of it in memory at the most.

    Raises:
        FileNotFoundError: the segment is not there.
    """
    is_small = not start and stop <= _SMALL_BYTES  # one request to a bucket instead of two
    with BytesIO(folder.read(path)) if is_small else folder.open(path) as file:
        file.seek(start)
        rest, at = b"", start
        while piece := file.read(min(piece_bytes, stop - at - len(rest))):
            rest += piece
            end = 0
            for row, end in read_rows(rest):
                yield row, at + end
            rest, at = rest[end:], at + end
