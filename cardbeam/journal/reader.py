"""Records of a stored segment, read piece by piece. What is damaged is passed over, counted and named.

A frame that reaches beyond the end of a segment that grows is not damaged: its writer was killed, or still writes it,
and nobody counts on a record before it is durable.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from cardbeam.journal.record_format import (
    HEAD_BYTES,
    HEADER_BYTES,
    KEY_BYTES,
    key_of,
    read_head,
    read_header,
    read_record,
)
from cardbeam.model.record import JournalRecord
from cardbeam.run_state.layout import JOURNAL_SUFFIX
from cardbeam.storage.damaged_file import DamagedFile, OnDamage, lost_records, refuse
from cardbeam.storage.folder import Folder, StoredFile

_PIECE_BYTES = 1024 * 1024
_SMALL_BYTES = 4 * 1024 * 1024
_Records = Iterator[tuple[JournalRecord, int]]


def list_segments(folder: Folder, prefix: str) -> Iterator[StoredFile]:
    """The segments under a folder of the journal; other files that stand there are left alone."""
    return (file for file in folder.list(prefix) if file.path.endswith(JOURNAL_SUFFIX))


def read_stored(
    folder: Folder,
    path: str,
    start: int,
    stop: int,
    *,
    on_damage: OnDamage = refuse,
    piece_bytes: int = _PIECE_BYTES,
) -> _Records:
    """Every whole record of a segment between two bytes, with the byte after it; a few MB in memory.

    Raises:
        FileNotFoundError: the segment is not there.
        DamagedFile: a part of it is damaged, and `on_damage` raises this.
    """
    is_small = start <= HEADER_BYTES and stop <= _SMALL_BYTES  # one request to a bucket instead of several
    with BytesIO(folder.read(path)) if is_small else folder.open(path) as file:
        yield from _Segment(file, path, on_damage).records(start, stop, piece_bytes)


class _Segment:
    """A segment under a reader's hands: where it is, and what it has seen of damage."""

    def __init__(self, file: BinaryIO, path: str, on_damage: OnDamage) -> None:
        self._file, self._path, self._on_damage, self._key = file, path, on_damage, key_of(path)
        self._data, self._at = b"", 0
        """Bytes that are not read yet, and where they begin in the segment."""
        self._needs = 0
        """Bytes of the frame that they begin with, as far as they do not hold it."""
        self._next: int | None = None
        """Number of the next record; None where reading begins in the middle."""
        self._damaged_at: int | None = None
        """Where damage begins that no whole record has ended yet."""
        self._lost_up_to = 0
        """What follows the highest number of the damaged records whose heads are whole."""

    def records(self, start: int, stop: int, piece_bytes: int) -> _Records:
        """Whole records between two bytes."""
        header = read_header(self._file.read(HEADER_BYTES), self._key)
        if not header.is_known:
            self._on_damage(DamagedFile.of(self._path, header.fault, 1))
            return
        self._at = max(start, HEADER_BYTES)
        if start < HEADER_BYTES and header.fault:
            self._at = self._damaged_at = start
        self._next = 0 if start <= HEADER_BYTES else None
        self._file.seek(self._at)
        while piece := self._file.read(min(max(piece_bytes, self._needs), stop - self._at - len(self._data))):
            self._data += piece
            yield from self._scan(is_end=False)
        yield from self._scan(is_end=True)
        self._end(header.size_bytes)

    def _scan(self, *, is_end: bool) -> _Records:
        """The records in the bytes at hand. Unless these are the last ones, it stops before a frame that is cut off."""
        data, used, size_bytes = self._data, 0, len(self._data)
        while used + HEAD_BYTES <= size_bytes:
            head = read_head(data, used, self._key)
            if head is None:
                self._note_damage(used)
                found = data.find(self._key, used + 1)
                used = found if found >= 0 else max(used + 1, size_bytes - KEY_BYTES + 1)
                continue
            number, _, frame_bytes, _ = head
            end = used + frame_bytes
            self._needs = end - size_bytes
            if self._needs > 0 and not (is_end and self._holds_frame(used + 1)):
                break
            record = read_record(data, used, head) if self._needs <= 0 else None
            if record is None:
                self._note_damage(used)
                self._lost_up_to = max(self._lost_up_to, number + 1)
                used += 1
            elif self._next is not None and number < self._next:  # one that was read, again
                self._note_damage(used)
                used = end
            else:
                if number != self._next or self._damaged_at is not None:
                    self._end_damage(number, used)
                self._next = number + 1
                used = end
                yield record, self._at + used
        self._data, self._at = data[used:], self._at + used

    def _holds_frame(self, start: int) -> bool:
        """Whether another frame begins in the bytes at hand: the one before it was longer once."""
        while (start := self._data.find(self._key, start)) >= 0:
            if read_head(self._data, start, self._key) is not None:
                return True
            start += 1
        return False

    def _note_damage(self, used: int) -> None:
        if self._damaged_at is None:
            self._damaged_at = self._at + used

    def _end_damage(self, number: int, used: int) -> None:
        """Report what is missing before a record that is whole."""
        missing = number - self._next if self._next is not None else int(self._damaged_at is not None)
        if self._damaged_at is not None or missing:
            self._report(self._at + used, missing)

    def _end(self, whole_bytes: int) -> None:
        """Report what is damaged at the end. Of a segment that was written at once, nothing may be missing there."""
        rest = self._data[:KEY_BYTES]
        is_damaged = self._damaged_at is not None or not self._key.startswith(rest)
        if not is_damaged and whole_bytes:
            is_damaged = bool(rest) or self._at == self._file.seek(0, os.SEEK_END) < whole_bytes
        if is_damaged:
            self._report(self._at, 1 if self._next is None else max(1, self._lost_up_to - self._next))

    def _report(self, at: int, lost: int) -> None:
        where = at if self._damaged_at is None else self._damaged_at
        self._damaged_at = None
        what = f"is damaged at byte {where:,}, {lost_records(lost)}"
        self._on_damage(DamagedFile.of(self._path, what, lost))
