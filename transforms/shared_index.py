"""The index of processed requests, loaded once in each process and shared by all stages of a graph."""

from __future__ import annotations

from functools import partial

from apache_beam.utils.shared import Shared

from cardbeam.config.settings import Settings
from cardbeam.config.time_window import moment_us
from cardbeam.index.processed_index import ProcessedIndex
from cardbeam.index.refresh import IndexFollower
from cardbeam.model.grouping import batch_of


class SharedIndex:
    """The process's index, used by all stages of a graph."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._shared = settings, Shared()
        self._held: IndexFollower | None = None
        """Beam holds only what was shared last: another would be loaded, and the index of our worker never kept up."""

    def get(self) -> ProcessedIndex:
        """The process's index."""
        return self.follower().index

    def follower(self) -> IndexFollower:
        """The process's index with what keeps it up to date."""
        output, is_replay = self._settings.output, self._settings.replay is not None
        since_us = moment_us(self._settings.input.reread_before)
        load = partial(IndexFollower, output.folder(), output.run_id, is_replay=is_replay, since_us=since_us)
        self._held = self._shared.acquire(load)
        return self._held

    def refresh(self) -> None:
        """Know what others processed since this was loaded, or since the last time."""
        self.follower().catch_up()


class BatchesOfBundle:
    """Which batches of a watch a bundle has met."""

    def __init__(self, index: SharedIndex) -> None:
        self._index = index
        self._met: set[str] = set()

    def catch_up(self, group: str) -> None:
        """Know what was processed before a group was dispatched or given to this bundle; its key begins with its batch.

        Once for each batch is enough: it is dispatched when all that its images may be duplicates of was processed, and
        a bundle that runs again is another.
        """
        batch = batch_of(group)
        if batch not in self._met:
            self._index.refresh()
            self._met.add(batch)
