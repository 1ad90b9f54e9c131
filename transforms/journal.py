"""Settled -> disk, before anything depends on it: the write-ahead log of answers.

A segment is a row of frames. Two writers never share a segment, and a segment is never opened for
writing again.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from transforms.elements import Settled
from transforms.frames import encode
from transforms.layout import JOURNAL, JOURNAL_SUFFIX, of_run
from transforms.storage import Folder

_sync = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter
_SEGMENT_BYTES = 32 * 1024 * 1024


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


class _Pending:
    """A frame that is not on disk yet, and the lock that its thread waits for."""

    __slots__ = ("frame", "is_awaited", "is_durable", "turn")

    def __init__(self, frame: bytes) -> None:
        self.frame, self.is_awaited, self.is_durable = frame, False, False
        self.turn = threading.Lock()
        self.turn.acquire()


class LocalJournal:
    """Appends to a file; whoever comes while another waits for the disk shares the next wait.

    One thread writes for all that came before it, and wakes them when their records are on disk. Of
    those that came meanwhile it wakes the first alone, which writes next.
    """

    def __init__(self, folder: Folder, run_id: str) -> None:
        self._folder, self._run_id = folder, run_id
        self._writer = uuid.uuid4().hex
        self._sequence = 0
        self._file: BinaryIO | None = None
        self._file_bytes = 0
        self._pending: list[_Pending] = []
        self._is_writing = False
        self._lock, self._disk = threading.Lock(), threading.Lock()

    def append(self, settled: Settled) -> None:
        """Return when the record is on disk.

        Raises:
            OSError: the disk does not take it; the record stays here for the next that is written.
        """
        self._append(encode(settled))

    def flush(self) -> None:
        """Nothing is ever left unwritten, but what the disk refused."""
        with self._lock:
            is_clean = not self._pending and not self._is_writing
        if not is_clean:
            self._append(b"")

    def close(self) -> None:
        """Close the segment."""
        with self._disk:
            if self._file:
                self._file.close()
            self._file = None

    def _append(self, frame: bytes) -> None:
        own = _Pending(frame)
        with self._lock:
            self._pending.append(own)
            own.is_awaited = self._is_writing
            self._is_writing = True
        if own.is_awaited:
            own.turn.acquire()
        if not own.is_durable:
            self._write_for_all()

    def _write_for_all(self) -> None:
        with self._lock:
            batch, self._pending = self._pending, []
        is_durable = False
        try:
            self._write(b"".join([one.frame for one in batch]))
            is_durable = True
        finally:
            self._pass_on(batch, is_durable=is_durable)

    def _pass_on(self, batch: list[_Pending], *, is_durable: bool) -> None:
        """Wake those whose records are on disk, and who writes next; what is not there goes again."""
        woken = [one for one in batch if one.is_awaited] if is_durable else []
        for one in batch:
            one.is_durable = is_durable
        with self._lock:
            self._pending = self._pending if is_durable else batch + self._pending
            following = next((one for one in self._pending if one.is_awaited), None)
            self._is_writing = following is not None
        if following is not None:
            following.is_awaited = False
            woken.append(following)
        for one in woken:
            one.turn.release()

    def _write(self, batch: bytes) -> None:
        with self._disk:
            file = self._segment()
            file.write(batch)
            self._file_bytes += len(batch)
            file.flush()
            _sync(file.fileno())

    def _segment(self) -> BinaryIO:
        if self._file and self._file_bytes > _SEGMENT_BYTES:
            self._file.close()
            self._file = None
        if self._file is None:
            path = Path(self._folder.root, _segment_name(self._run_id, self._sequence, self._writer))
            self._sequence += 1
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file, self._file_bytes = path.open("xb"), 0
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
        self._tried = 0
        """So many of them stand in an object that may be there already: its put failed, or its reply was lost."""
        self._lock = threading.Lock()
        self._put_lock = threading.Lock()
        self._closed = threading.Event()
        self._timer = threading.Thread(target=self._flush_regularly, name="journal", daemon=True)
        self._timer.start()
        atexit.register(self._flush_if_possible)  # interrupted, or failed elsewhere: what was paid for is put still

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
        """Put what was taken as one object, after the one that could not be put before.

        Raises:
            OSError: the store does not take it; the records stay here for the next flush.
        """
        with self._put_lock:
            if self._tried:
                self._put(self._tried)
            with self._lock:
                records = len(self._pending)
            if records:
                self._put(records)

    def _put(self, records: int) -> None:
        """Put the first so many: under one name the same, for a store may take a put long after it seemed to fail."""
        self._tried = records
        with self._lock:
            batch = self._pending[:records]
        self._behind_at_s = min(self._behind_at_s, self._clock() + self._flush_s)
        self._folder.write(_segment_name(self._run_id, self._sequence, self._writer), b"".join(batch))
        self._behind_at_s = float("inf")
        self._sequence += 1
        self._tried = 0
        with self._lock:
            del self._pending[:records]

    def close(self) -> None:
        """Stop the clock and put what is left."""
        atexit.unregister(self._flush_if_possible)
        self._closed.set()
        self._timer.join()
        self.flush()

    def _flush_regularly(self) -> None:
        while not self._closed.wait(self._flush_s):
            self._flush_if_possible()

    def _flush_if_possible(self) -> None:
        with suppress(OSError):  # if it lasts, the flush at the end of the bundle raises it
            self.flush()


def open_journal(folder: Folder, run_id: str, flush_s: float) -> Journal:
    """The journal that suits the output's store."""
    return LocalJournal(folder, run_id) if folder.is_local else ObjectJournal(folder, run_id, flush_s)
