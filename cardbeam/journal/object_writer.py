"""The journal of a bucket: records are put as whole objects."""

from __future__ import annotations

import atexit
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress

from cardbeam.journal.local_writer import _Failure
from cardbeam.journal.record_format import encode, whole_segment
from cardbeam.journal.writer import segment_name
from cardbeam.model.record import JournalRecord
from cardbeam.storage.folder import Folder


class ObjectJournal:
    """Collects records and puts them as immutable objects every few seconds.

    Where a put takes longer than that, the store is in trouble: whoever brings a record then waits
    until it is put, so that no more is called than was in progress, and little is lost if it never is.
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
        self._is_proven = False
        self._failure = _Failure()
        self._folder, self._run_id, self._flush_s, self._flush_records = folder, run_id, flush_s, flush_records
        self._writer = uuid.uuid4().hex
        self._sequence = 0
        self._pending: list[bytes] = []
        self._tried = 0
        """So many of them stand in an object that may be there already: its put failed, or its response was lost."""
        self._lock = threading.Lock()
        self._put_lock = threading.Lock()
        self._closed = threading.Event()
        self._timer = threading.Thread(target=self._flush_regularly, name="journal", daemon=True)
        self._timer.start()
        atexit.register(self._flush_if_possible)  # interrupted, or failed elsewhere: what was paid for is put still

    def check(self) -> None:
        """Raise once records could not be put; put them now if those before are overdue. The first time put a segment.

        Raises:
            OSError: the store takes nothing.
        """
        self._failure.check()
        if not self._is_proven:
            with self._put_lock, self._failure.recent():
                if not self._is_proven:
                    self._put(0)
            self._is_proven = True
        elif self._clock() > self._behind_at_s:
            self.flush()

    def append(self, record: JournalRecord) -> None:
        """Take a record; put it at once if there are many, or if those before it could not be put in time.

        Raises:
            OSError: the store takes nothing.
        """
        encoded = encode(record)
        with self._lock:
            self._pending.append(encoded)
            is_full = len(self._pending) >= self._flush_records
        if is_full or self._clock() > self._behind_at_s:
            self.flush()

    def flush(self) -> None:
        """Put what was taken as one object, after the one that could not be put before.

        Raises:
            OSError: the store does not take it; the records stay here for the next flush.
        """
        with self._failure.recent():
            self._flush()

    def _flush(self) -> None:
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
        path = segment_name(self._run_id, self._sequence, self._writer)
        self._behind_at_s = min(self._behind_at_s, self._clock() + self._flush_s)
        self._folder.write(path, whole_segment(path, batch))
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
        with suppress(OSError):  # if it lasts, the next request that is sent or kept raises it
            self._flush()
