"""Settled -> disk, before anything depends on it: the write-ahead log of answers.

A segment is a row of frames: magic, lengths, CRC-32, the record's fields as a JSON list,
the reply as it came, an end mark. A reader skips what is torn or damaged and finds the next whole
frame, so no crash makes a journal unreadable. Two writers never share a segment, and a
segment is never opened for writing again.
"""

from __future__ import annotations

import os
import struct
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import orjson

from transforms.elements import Settled
from transforms.layout import JOURNAL, JOURNAL_SUFFIX, of_run
from transforms.storage import Folder

_HEAD = struct.Struct("<4sIII")
_MAGIC = b"CBJ1"
_END = b"\n"
"""No start of a frame, so that a torn frame cannot be made whole by the one behind it."""
FIELDS: tuple[str, ...] = Settled.__slots__
"""What a record holds, in its order; the reply is the last and stands behind the others as it came."""
_values = attrgetter(*FIELDS[:-1])
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter
_SEGMENT_BYTES = 64 * 1024 * 1024


def encode(settled: Settled) -> bytes:
    """One record as a frame."""
    header = orjson.dumps(_values(settled))
    reply = settled.reply
    if reply is None:
        header, reply = header[:-1] + b",null]", b""
    body = header + reply
    return b"".join([_HEAD.pack(_MAGIC, len(header), len(reply), zlib.crc32(body)), body, _END])


def frames(segment: bytes, start: int = 0) -> Iterator[tuple[int, int]]:
    """Start and end of every whole frame of a segment from a byte on; what is torn or damaged is passed over."""
    while (start := segment.find(_MAGIC, start)) >= 0 and start + _HEAD.size <= len(segment):
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
    """A whole frame as its values in the order of `FIELDS`: the cheap form, for reading many."""
    _, header_bytes, _, _ = _HEAD.unpack_from(frame)
    row: list[Any] = orjson.loads(frame[_HEAD.size : _HEAD.size + header_bytes])
    if len(row) < len(FIELDS):
        row.append(frame[_HEAD.size + header_bytes : -len(_END)])
    return row


def decode(frame: bytes) -> Settled:
    """A whole frame as the record that was written."""
    record = dict(zip(FIELDS, decode_row(frame), strict=True))
    record["uris"] = tuple(record["uris"])
    record["labels"] = tuple((key, value) for key, value in record["labels"])
    return Settled(**record)


def read_rows(segment: bytes, start: int = 0) -> Iterator[tuple[list[Any], int]]:
    """Every whole record of a segment from a byte on as a row, with the byte after it."""
    return ((decode_row(segment[start:end]), end) for start, end in frames(segment, start))


def read_segment(segment: bytes) -> Iterator[tuple[Settled, int]]:
    """Every whole record of a segment, with the byte after it."""
    return ((decode(segment[start:end]), end) for start, end in frames(segment))


class Journal(Protocol):
    """Where settled inputs are made durable."""

    def append(self, settled: Settled) -> None:
        """Take one record; durable at return on a disk, after the next flush in a bucket."""

    def flush(self) -> None:
        """Make everything taken so far durable."""

    def close(self) -> None:
        """Flush and let go."""


def _segment_name(run_id: str, sequence: int, writer: str) -> str:
    return f"{of_run(JOURNAL, run_id)}/{writer}-{sequence:06d}{JOURNAL_SUFFIX}"


class LocalJournal:
    """Appends to a file; whoever comes while another waits for the disk shares the next wait."""

    def __init__(self, folder: Folder, run_id: str) -> None:
        self._folder, self._run_id = folder, run_id
        self._writer = uuid.uuid4().hex
        self._sequence = 0
        self._file: BinaryIO | None = None
        self._pending: list[bytes] = []
        self._taken = self._durable = 0
        self._is_writing = False
        self._changed = threading.Condition()

    def append(self, settled: Settled) -> None:
        """Return when the record is on disk."""
        frame = encode(settled)
        with self._changed:
            self._pending.append(frame)
            self._taken += 1
            ticket = self._taken
        self._write_up_to(ticket)

    def flush(self) -> None:
        """Nothing is ever left unwritten."""
        self._write_up_to(self._taken)

    def close(self) -> None:
        """Close the segment."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_writing)
            if self._file:
                self._file.close()
            self._file = None

    def _write_up_to(self, ticket: int) -> None:
        """Be the one who writes for all, or wait for that one; all are woken together."""
        with self._changed:
            self._changed.wait_for(lambda: self._durable >= ticket or not self._is_writing)
            if self._durable >= ticket:
                return
            self._is_writing = True
            batch, self._pending = self._pending, []
            taken = self._taken
        try:
            self._write(b"".join(batch))
        except OSError:
            taken = self._give_back(batch)
            raise
        finally:
            with self._changed:
                self._durable = taken
                self._is_writing = False
                self._changed.notify_all()

    def _give_back(self, batch: list[bytes]) -> int:
        """A torn frame is skipped by readers; the records go again."""
        with self._changed:
            self._pending = batch + self._pending
            return self._durable

    def _write(self, batch: bytes) -> None:
        file = self._segment()
        file.write(batch)
        file.flush()
        _sync(file.fileno())

    def _segment(self) -> BinaryIO:
        if self._file and self._file.tell() > _SEGMENT_BYTES:
            self._file.close()
            self._file = None
        if self._file is None:
            path = Path(self._folder.root, _segment_name(self._run_id, self._sequence, self._writer))
            self._sequence += 1
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("xb")
            _sync_folder(path.parent)
        return self._file


def _sync_folder(path: Path) -> None:
    """Make a new file's name durable, not only its bytes."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ObjectJournal:
    """Collects records and puts them as immutable objects every few seconds.

    Where a put takes longer than that, the store is in trouble: whoever brings a record then waits
    until it is put, so that no more is called than was under way, and little is lost if it never is.
    """

    def __init__(
        self,
        folder: Folder,
        run_id: str,
        flush_s: float,
        flush_records: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._behind_at_s = float("inf")
        self._folder, self._run_id, self._flush_s, self._flush_records = folder, run_id, flush_s, flush_records
        self._writer = uuid.uuid4().hex
        self._sequence = 0
        self._pending: list[bytes] = []
        self._lock = threading.Lock()
        self._put_lock = threading.Lock()
        self._closed = threading.Event()
        self._timer = threading.Thread(target=self._flush_regularly, name="journal", daemon=True)
        self._timer.start()

    def append(self, settled: Settled) -> None:
        """Take a record; put it at once if there are many, or if those before it could not be put in time.

        Raises:
            OSError: the store takes nothing.
        """
        with self._lock:
            self._pending.append(encode(settled))
            is_full = len(self._pending) >= self._flush_records
        if is_full or self._clock() > self._behind_at_s:
            self.flush()

    def flush(self) -> None:
        """Put what was taken as one object.

        Raises:
            OSError: the store does not take it; the records stay here for the next flush.
        """
        with self._put_lock:
            with self._lock:
                batch = self._pending.copy()
            if not batch:
                return
            self._behind_at_s = min(self._behind_at_s, self._clock() + self._flush_s)
            self._folder.write(_segment_name(self._run_id, self._sequence, self._writer), b"".join(batch))
            self._behind_at_s = float("inf")
            self._sequence += 1
            with self._lock:
                del self._pending[: len(batch)]

    def close(self) -> None:
        """Stop the clock and put what is left."""
        self._closed.set()
        self._timer.join()
        self.flush()

    def _flush_regularly(self) -> None:
        while not self._closed.wait(self._flush_s):
            with suppress(OSError):  # if it lasts, the flush at the end of the bundle raises it
                self.flush()


def open_journal(folder: Folder, run_id: str, flush_s: float) -> Journal:
    """The journal that suits the output's store."""
    return LocalJournal(folder, run_id) if folder.is_local else ObjectJournal(folder, run_id, flush_s)
