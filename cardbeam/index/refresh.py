"""Keeps a process's index up to date with the records that other workers write."""

from __future__ import annotations

import threading

from cardbeam.index.load import load_answered
from cardbeam.index.processed_index import Answered
from cardbeam.journal.follower import Tail
from cardbeam.storage.folder import Folder


class Fresh:
    """The index of one process, and how far it has read what others wrote."""

    def __init__(self, folder: Folder, run_id: str, *, is_replay: bool = False) -> None:
        self._lock = threading.Lock()
        self._tail = Tail(folder, run_id)
        self._tail.skip_ledger()  # before it is loaded: what comes between is read twice rather than never
        self.answered: Answered = load_answered(folder, run_id, is_replay=is_replay)

    def catch_up(self) -> None:
        """Read what others settled since."""
        with self._lock:
            for known in self._tail.read():
                if not self.answered.has_input(known.source_id, known.input_id):
                    self.answered.note(known)
