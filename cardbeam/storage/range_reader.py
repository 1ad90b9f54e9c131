"""An object as a file: read by ranges, so that a Parquet reader fetches the columns it asks for and no more."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO, cast

from cardbeam.storage.object_store import Object

_READ_AHEAD_BYTES = 256 * 1024
_TAIL_BYTES = 64 * 1024
"""Read at once where the end is asked for: a Parquet reader asks for the last 8 bytes, then for the footer before."""


def read_end(place: Object, size_bytes: int) -> bytes:
    """As much of an object's end as a Parquet footer usually takes."""
    return place.read_range(max(0, size_bytes - _TAIL_BYTES), size_bytes)


def open_object(place: Object, size_bytes: int | None = None, end: Callable[[], bytes] | None = None) -> BinaryIO:
    """The object for reading from anywhere in it; who knows its size, or has its end at hand, saves requests.

    Raises:
        OSError: it is not there, or the store cannot be used.
    """
    size = place.head().size_bytes if size_bytes is None else size_bytes
    ranges = _Ranges(place, size, end or (lambda: read_end(place, size)))
    return cast(BinaryIO, io.BufferedReader(ranges, _READ_AHEAD_BYTES))


class _Ranges(io.RawIOBase):
    def __init__(self, place: Object, size_bytes: int, read: Callable[[], bytes]) -> None:
        self._place, self._size_bytes, self._read_end = place, size_bytes, read
        self._end, self._at = b"", 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size_bytes}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # Buffer is of 3.12
        end = min(self._size_bytes, self._at + len(buffer))
        if end <= self._at:
            return 0
        content = self._content(self._at, end)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def _content(self, start: int, end: int) -> bytes:
        if not self._end and end == self._size_bytes and end - start < _TAIL_BYTES:
            self._end = self._read_end()
        end_from = self._size_bytes - len(self._end)
        if start >= end_from:
            return self._end[start - end_from : end - end_from]
        return self._place.read_range(start, end)
