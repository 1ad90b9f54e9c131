"""Records -> disk, before anything depends on them: the write-ahead log of answers.

Two writers never share a segment, and a segment is never opened for writing again. Nothing is sent before a segment is
durable, and nothing after a record could not be written.
"""

from __future__ import annotations

import atexit
import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from cardbeam.errors import CardbeamError
from cardbeam.journal.record_format import encode, frames, header, key_of
from cardbeam.journal.writer import segment_name
from cardbeam.model.record import JournalRecord
from cardbeam.storage.folder import Folder, create_file, make_folder, sync_folder, temporary_path

_sync = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter
_SEGMENT_BYTES = 32 * 1024 * 1024


class JournalFailed(CardbeamError, OSError):
    """A record could not be written: this process sends nothing more. The cause says why."""


class _Failure:
    """The first error of a writer, which ends the sending of its process."""

    def __init__(self) -> None:
        self._error: Exception | None = None

    @contextmanager
    def recent(self) -> Iterator[None]:
        """Note an error of the block, and raise it."""
        try:
            yield
        except Exception as error:  # a store's client may raise anything
            self._error = self._error or error
            raise

    def check(self) -> None:
        """Raise, once there was an error."""
        if self._error is not None:
            raise JournalFailed(f"the journal cannot be written: {self._error}") from self._error


class _Pending:
    """A record that is not on disk yet, and the lock that its thread waits for."""

    __slots__ = ("encoded", "is_awaited", "is_durable", "turn")

    def __init__(self, encoded: bytes) -> None:
        self.encoded, self.is_awaited, self.is_durable = encoded, False, False
        self.turn = threading.Lock()
        self.turn.acquire()


class _Segment:
    """A segment on a local disk that is being written: its header is durable before its name is there."""

    def __init__(self, path: Path, file_mode: int) -> None:
        self.size_bytes = 0
        self._path, self._key, self._records = path, key_of(path.name), 0
        with self._named():
            make_folder(path.parent, file_mode)
            temporary = temporary_path(path)
            self._file = create_file(temporary, file_mode, buffering=0)
            try:
                self._write(header(self._key))
                temporary.rename(path)
                sync_folder(path.parent)
            except BaseException:
                self._file.close()
                temporary.unlink(missing_ok=True)
                raise

    def append(self, encoded: Sequence[bytes]) -> None:
        """Add records; durable at return."""
        with self._named():
            self._write(frames(self._key, self._records, encoded))
        self._records += len(encoded)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Have an error of the operating system name the segment."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from None

    def cut(self) -> None:
        """Remove what was written and is not known to be durable, and let go."""
        with suppress(OSError):
            self._file.truncate(self.size_bytes)
        self.close()

    def close(self) -> None:
        """Let go."""
        self._file.close()

    def _write(self, content: bytes) -> None:
        left = memoryview(content)
        while left:
            left = left[self._file.write(left) :]
        _sync(self._file.fileno())
        self.size_bytes += len(content)


class LocalJournal:
    """Appends to a file; concurrent appends share one wait for the disk (group commit).

    One thread writes for all that came before it, and wakes them when their records are on disk. Of
    those that came meanwhile it wakes the first alone, which writes next.
    """

    def __init__(self, folder: Folder, run_id: str) -> None:
        self._folder, self._run_id = folder, run_id
        self._writer = uuid.uuid4().hex
        self._sequence = 0
        self._segment: _Segment | None = None
        self._is_proven = False
        self._failure = _Failure()
        self._pending: list[_Pending] = []
        self._is_writing = False
        self._lock, self._disk = threading.Lock(), threading.Lock()
        atexit.register(self._flush_if_possible)  # what the disk refused while calls were in flight

    def check(self) -> None:
        """Raise once a record could not be written; the first time a segment is made.

        Raises:
            OSError: the disk does not take it.
        """
        self._failure.check()
        if not self._is_proven:
            with self._disk, self._failure.recent():
                self._segment = self._segment or self._begin_segment()
            self._is_proven = True

    def append(self, record: JournalRecord) -> None:
        """Return when the record is on disk.

        Raises:
            OSError: the disk does not take it; the record stays here for the next that is written.
        """
        self._append(encode(record))

    def flush(self) -> None:
        """Nothing is ever left unwritten, but what the disk refused."""
        with self._lock:
            is_clean = not self._pending and not self._is_writing
        if not is_clean:
            self._append(b"")

    def close(self) -> None:
        """Close the segment."""
        atexit.unregister(self._flush_if_possible)
        with self._disk:
            if self._segment:
                self._segment.close()
            self._segment = None

    def _append(self, encoded: bytes) -> None:
        own = _Pending(encoded)
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
            with self._failure.recent():
                self._write([one.encoded for one in batch if one.encoded])
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

    def _write(self, encoded: list[bytes]) -> None:
        if not encoded:
            return
        with self._disk:
            if self._segment and self._segment.size_bytes > _SEGMENT_BYTES:
                self._segment.close()
                self._segment = None
            segment = self._segment = self._segment or self._begin_segment()
            try:
                segment.append(encoded)
            except BaseException:  # whatever it is: what is on disk by now is not known
                self._segment = None
                segment.cut()
                raise

    def _begin_segment(self) -> _Segment:
        path = Path(self._folder.root, segment_name(self._run_id, self._sequence, self._writer))
        self._sequence += 1
        return _Segment(path, self._folder.file_mode)

    def _flush_if_possible(self) -> None:
        with suppress(OSError):  # it is what the last append raised
            self.flush()
