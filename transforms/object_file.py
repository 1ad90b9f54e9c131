"""An object as a file: read by ranges, so that a Parquet reader fetches the columns it asks for and no more."""

from __future__ import annotations

import io
from typing import BinaryIO, cast

from transforms.buckets import Object

_READ_AHEAD_BYTES = 256 * 1024


def open_object(place: Object) -> BinaryIO:
    """The object for reading from anywhere in it.

    Raises:
        OSError: it is not there, or the store cannot be used.
    """
    return cast(BinaryIO, io.BufferedReader(_Ranges(place), _READ_AHEAD_BYTES))


class _Ranges(io.RawIOBase):
    def __init__(self, place: Object) -> None:
        self._place = place
        self._size_bytes = place.look().size_bytes
        self._at = 0

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
        content = self._place.read_range(self._at, end)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)
