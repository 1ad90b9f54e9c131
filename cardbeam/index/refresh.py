"""Keeps a process's index up to date with the records that other workers write."""

from __future__ import annotations

import threading

from cardbeam.index.load import load_index
from cardbeam.index.processed_index import ProcessedIndex
from cardbeam.journal.follower import JournalFollower
from cardbeam.storage.folder import Folder


class IndexFollower:
    """The index of one process, and how far it has read what others wrote."""

    def __init__(self, folder: Folder, run_id: str, *, is_replay: bool = False, since_us: int = 0) -> None:
        self._lock = threading.Lock()
        self._journal = JournalFollower(folder, run_id)
        self._journal.skip_ledger()  # before it is loaded: what comes between is read twice rather than never
        self.index: ProcessedIndex = load_index(folder, run_id, is_replay=is_replay, since_us=since_us)

    def catch_up(self) -> None:
        """Read what others processed since."""
        with self._lock:
            for key in self._journal.read():
                if not self.index.has_input(key.source_id, key.input_id):
                    self.index.record(key)
