"""What a watch has dispatched and not processed, by the file it keeps and the records of its run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cardbeam.journal.follower import JournalFollower, RecordKey
from cardbeam.model.record import LEFT
from cardbeam.run_state.layout import run_file
from cardbeam.storage.damaged_file import pass_over
from cardbeam.storage.folder import Folder
from cardbeam.watch.pending import PENDING_FILE, PendingRequest, Uris, decode


def pending_requests(folder: Folder, run_id: str) -> list[PendingRequest]:
    """What is dispatched and not processed, as the watch wrote it last."""
    try:
        path = run_file(run_id, PENDING_FILE)
        return decode(folder.read(path), path)
    except FileNotFoundError:
        return []


class Records:
    """The records of a run, as far as they tell what is processed and what is left."""

    def __init__(self, records: Iterable[RecordKey]) -> None:
        self._sources: set[str | None] = set()
        self._uris: set[Uris] = set()
        self._left: dict[Uris, RecordKey] = {}
        for known in records:
            if known.outcome not in LEFT:
                self._sources.add(known.source_id)
                self._uris.add(known.uris)
            elif known.uris not in self._left or self._left[known.uris].completed_at < known.completed_at:
                self._left[known.uris] = known
        self._sources -= {None}

    def is_processed(self, source_id: str | None) -> bool:
        """Whether this version of an image has its result."""
        return source_id in self._sources

    def left_of(self, given: PendingRequest) -> RecordKey | None:
        """The record that says that a dispatched request is to be sent again, if there is one."""
        left = self._left.get(given.request.uris)
        return left if left is not None and left.completed_at > given.seen_at else None

    def unprocessed(self, given: Iterable[PendingRequest]) -> Unprocessed:
        """How many requests have no result, by those that are dispatched."""
        in_flight = {
            one.request.uris
            for one in given
            if one.request.uris not in self._uris
            and not self.is_processed(one.request.source_id)
            and self.left_of(one) is None
        }
        is_open = (
            uris not in self._uris if one.source_id is None else not self.is_processed(one.source_id)
            for uris, one in self._left.items()
            if uris not in in_flight
        )
        return Unprocessed(len(in_flight), sum(is_open))


@dataclass(frozen=True, slots=True)
class Unprocessed:
    """Requests of a run that have no result: dispatched and without a record, and those to be sent again later."""

    in_flight: int
    deferred: int


def unprocessed(folder: Folder, run_id: str) -> Unprocessed:
    """What a run has not processed, by its records."""
    given = pending_requests(folder, run_id)
    return Records(JournalFollower(folder, run_id, pass_over).read()).unprocessed(given)


def still_open(folder: Folder, run_id: str) -> int:
    """How many requests were dispatched and have no record since."""
    return unprocessed(folder, run_id).in_flight
