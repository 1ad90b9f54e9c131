"""What is settled already, loaded once in each process, and read further as other workers settle more."""

from __future__ import annotations

import threading
from functools import partial

from apache_beam.utils.shared import Shared

from transforms.answered import Answered, load_answered
from transforms.settings import Settings
from transforms.storage import Folder, open_folder
from transforms.tail import Tail


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


class SharedAnswered:
    """The process's index, used by all stages of a graph."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._shared = settings, Shared()
        self._held: Fresh | None = None
        """Beam holds only what was shared last: another would be loaded, and the index of our worker never kept up."""

    def get(self) -> Answered:
        """The process's index."""
        return self.fresh().answered

    def fresh(self) -> Fresh:
        """The process's index with what keeps it up to date."""
        output, is_replay = self._settings.output, self._settings.replay is not None
        load = partial(Fresh, open_folder(output.output), output.run_id, is_replay=is_replay)
        self._held = self._shared.acquire(load)
        return self._held

    def refresh(self) -> None:
        """Know what others settled since this was loaded, or since the last time."""
        self.fresh().catch_up()


class BatchesOfBundle:
    """Which batches of a watch a bundle has met."""

    def __init__(self, answered: SharedAnswered) -> None:
        self._answered = answered
        self._met: set[str] = set()

    def catch_up(self, group: str) -> None:
        """Know what was settled before a group was given out, or given to this bundle; its key begins with its batch.

        Once for each batch is enough: it is given out only when all that its images may be duplicates of was settled,
        and a bundle that runs again is another.
        """
        batch = batch_of(group)
        if batch not in self._met:
            self._answered.refresh()
            self._met.add(batch)


def group_key(batch: str, key: str) -> str:
    """The key of a group of likely duplicates in a batch."""
    return f"{batch}/{key}"


def batch_of(group: str) -> str:
    """The batch that a group was given out with."""
    return group.partition("/")[0]
