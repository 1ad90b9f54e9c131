"""What is known of one request: by the index that its process holds, and by the records of earlier runs on disk.

By source, these records come with the request, from the stage that met it in the order of the listing. By content they
are looked up once its images are read. Whatever both know is put together here as if one index held all.
"""

from __future__ import annotations

from cardbeam.index.failures import Failure
from cardbeam.index.on_disk.earlier_records import EarlierRecords
from cardbeam.index.processed_index import ProcessedIndex
from cardbeam.index.status import PriorStatus
from cardbeam.journal.follower import RecordKey
from cardbeam.model.record import JournalRecord
from cardbeam.model.request import Request


class RequestHistory:
    """What is known of one request; for one thread. It is asked as a `ProcessedIndex` is."""

    def __init__(self, index: ProcessedIndex, request: Request) -> None:
        self._index, self._request = index, request
        self._earlier = EarlierRecords(request.earlier)

    def of_item(self, item_id: str, image_bytes: int | None = None) -> PriorStatus:
        """What is known by content; the size of the images where the id was made of their bytes."""
        self._learn(item_id, image_bytes)
        return self._standing(item_id)

    def of_source(self, source_id: str | None) -> tuple[PriorStatus, str]:
        """What is known without opening an image, and the item id it is known under."""
        status, item_id = self._index.of_source(source_id)
        if source_id is None or not self._earlier:
            return status, item_id
        item_id = item_id or self._earlier.item_of(source_id) or self._processed_since(source_id)
        status = min(status, self._standing(item_id)) if item_id else status
        return status, "" if status is PriorStatus.UNKNOWN else item_id

    def has_input(self, source_id: str | None, input_id: str | None) -> bool:
        """Whether a record of this very input is held, its labels included."""
        if input_id is None:
            return self.of_source(source_id)[0] is not PriorStatus.UNKNOWN
        return self._index.has_input(source_id, input_id) or self._earlier.has_input(input_id)

    def is_superseded(self, source_id: str | None) -> bool:
        """Whether another version was processed since where this one is."""
        if source_id is None:
            return False
        newest = self._index.newest_at(source_id) or self._earlier.newest_at(source_id)
        return newest not in ("", source_id) and not self._index.is_erased_source(source_id)

    def is_erased(self, item_id: str) -> bool:
        """Whether what was read of an item was erased; every process holds these."""
        return self._index.is_erased(item_id)

    def failures_of(self, item_id: str, source_id: str | None) -> int:
        """In how many earlier runs the image failed."""
        final = self._earlier.of_item(item_id)
        here = self._index.failures_of(item_id, source_id) if final is PriorStatus.UNKNOWN else 0
        before = 0 if self._index.is_final(item_id) else self._earlier.failures_of(item_id, source_id)
        return max(here + before, int(final is PriorStatus.FAILED_EARLIER_RUN))

    def failure_of(self, item_id: str) -> Failure | None:
        """Why an item has no answer; None where it has one, or none was tried."""
        found = self._index.failure_of(item_id)
        if self._earlier.of_item(item_id) is PriorStatus.SUCCEEDED_EARLIER_RUN or self._index.is_answered(item_id):
            return None
        if found is not None and not found.is_retriable:
            return found
        earlier = self._earlier.failure_of(item_id)
        return earlier if found is None or (earlier is not None and not earlier.is_retriable) else found

    def record(self, processed: JournalRecord | RecordKey) -> None:
        """Know what this process has just processed."""
        self._index.record(processed)

    def _learn(self, item_id: str, image_bytes: int | None) -> None:
        if self._index.stored is not None:
            self._earlier = self._earlier.and_more(self._index.stored.of_item(item_id, image_bytes))

    def _processed_since(self, source_id: str) -> str:
        """The item of a source that failed, if a duplicate of it was processed since; empty otherwise."""
        item_id = self._earlier.failed_item_of(source_id)
        if not item_id or item_id == source_id:
            return ""
        self._learn(item_id, sum(image.size_bytes or 0 for image in self._request.images))
        return item_id if self._index.is_final(item_id) else self._earlier.item_of(source_id)

    def _standing(self, item_id: str) -> PriorStatus:
        before = self._earlier.of_item(item_id)
        if self._index.is_replay and before is PriorStatus.FAILED_EARLIER_RUN:
            before = PriorStatus.UNKNOWN
        return min(self._index.of_item(item_id), before)


def history_of(index: ProcessedIndex, request: Request) -> ProcessedIndex | RequestHistory:
    """What is known of a request: by the index alone, where there is none on disk."""
    if index.stored is None and not request.earlier:
        return index
    return RequestHistory(index, request)


def is_known(request: Request, index: ProcessedIndex | RequestHistory) -> bool:
    """Whether an earlier run processed the image, and its labels are recorded.

    One with other labels goes on, so that these are recorded too, and so does one that was replaced and is put back:
    they are neither opened nor sent.
    """
    source_id = request.source_id
    prior, item_id = index.of_source(source_id)
    if not prior.is_earlier_run or index.is_superseded(source_id):
        return False
    return not request.labels or index.has_input(source_id, request.input_id(item_id))
