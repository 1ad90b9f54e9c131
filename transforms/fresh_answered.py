"""What is settled already, kept up with what other workers settle while the graph runs on."""

from __future__ import annotations

import threading
from collections import deque
from functools import partial

from apache_beam.utils.shared import Shared

from transforms.answered import Answered, SharedAnswered, load_answered
from transforms.settings import Settings
from transforms.storage import Folder, open_folder
from transforms.tail import Tail

_BATCHES_REMEMBERED = 64


class Fresh:
    """The index of one process, and how far it has read what others wrote."""

    def __init__(self, folder: Folder, run_id: str) -> None:
        self._lock = threading.Lock()
        self._caught_up_with: deque[str] = deque(maxlen=_BATCHES_REMEMBERED)
        self._tail = Tail(folder, run_id)
        self._tail.skip_ledger()  # before it is loaded: what comes between is read twice rather than never
        self.answered: Answered = load_answered(folder, run_id)

    def catch_up(self, batch: str = "") -> None:
        """Read what others settled since, once for each batch.

        Once is enough: a batch is given out only when all that its pictures may be copies of was settled.
        """
        with self._lock:
            if batch and batch in self._caught_up_with:
                return
            for known in self._tail.read():
                if not self.answered.has_input(known.source_id, known.input_id):
                    self.answered.note(known)
            self._caught_up_with.append(batch)


class FreshAnswered(SharedAnswered):
    """The process's index, for a graph that never ends."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._output, self._fresh = settings.output, Shared()
        self._held: Fresh | None = None
        """Beam holds only what was shared last: another would be loaded, and the index of our worker never kept up."""

    def get(self) -> Answered:
        """The process's index."""
        return self.fresh().answered

    def fresh(self) -> Fresh:
        """The process's index with what keeps it up to date."""
        self._held = self._fresh.acquire(partial(Fresh, open_folder(self._output.output), self._output.run_id))
        return self._held

    def refresh(self) -> None:
        """Know what others settled since this was loaded, or since the last time."""
        self.fresh().catch_up()

    def catch_up(self, group: str) -> None:
        """Know what was settled before a group was given out; its key begins with its batch."""
        self.fresh().catch_up(batch_of(group))


def group_key(batch: str, key: str) -> str:
    """The key of a group of likely copies in a batch."""
    return f"{batch}/{key}"


def batch_of(group: str) -> str:
    """The batch that a group was given out with."""
    return group.partition("/")[0]
