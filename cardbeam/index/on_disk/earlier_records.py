"""What a few records of earlier runs say of a request: plain loops over rows, for a request has one or two."""

from __future__ import annotations

from collections.abc import Iterable

from cardbeam.index.failures import Failure
from cardbeam.index.status import PriorStatus
from cardbeam.model.record import RecordStatus
from cardbeam.model.request import EarlierRecord, place_of


class EarlierRecords:
    """Records of earlier runs, in the order of runs."""

    def __init__(self, records: Iterable[EarlierRecord] = ()) -> None:
        self._records = tuple(records)

    def __bool__(self) -> bool:
        return bool(self._records)

    def and_more(self, records: Iterable[EarlierRecord]) -> EarlierRecords:
        """These and others."""
        return EarlierRecords((*self._records, *records))

    def of_item(self, item_id: str) -> PriorStatus:
        """The final status of an item; unknown where it has none."""
        finals = (_status(one) for one in self._records if one.item_id == item_id and not one.retriable)
        return min(finals, default=PriorStatus.UNKNOWN)

    def item_of(self, source_id: str) -> str:
        """The item id that a source is known under; empty where it is not known, or has no final status."""
        items = [one.item_id for one in self._records if one.source_id == source_id and self._is_final(one.item_id)]
        return items[-1] if items else ""

    def failed_item_of(self, source_id: str) -> str:
        """The item id that a source failed under; empty where it did not."""
        items = [one.item_id for one in self._records if one.retriable and one.source_id == source_id]
        return items[-1] if items else ""

    def has_input(self, input_id: str) -> bool:
        """Whether an input with its labels is recorded, with a final result."""
        return any(one.input_id == input_id and not one.retriable for one in self._records)

    def newest_at(self, source_id: str) -> str:
        """The version that was processed last where this one is; empty where none was."""
        place = place_of(source_id)
        found = [one.source_id for one in self._records if one.source_id and self._is_final(one.item_id)]
        return next((one for one in reversed(found) if place_of(one) == place), "")

    def failures_of(self, item_id: str, source_id: str | None) -> int:
        """In how many runs an image without a final result failed."""
        failed = [one for one in self._records if one.retriable and not self._is_resolved(one)]
        return len(
            {one.run_id for one in failed if one.item_id == item_id or (source_id and one.source_id == source_id)}
        )

    def failure_of(self, item_id: str) -> Failure | None:
        """Why an item failed; None where it did not, or succeeded after all."""
        mine = [one for one in self._records if one.item_id == item_id and one.code is not None]
        is_final = any(not one.retriable for one in mine)
        codes = [one.code for one in mine if one.retriable is not is_final]
        if self.of_item(item_id) is PriorStatus.SUCCEEDED_EARLIER_RUN or not codes:
            return None
        return Failure(str(codes[-1]), is_retriable=not is_final)

    def _is_final(self, item_id: str) -> bool:
        return self.of_item(item_id) is not PriorStatus.UNKNOWN

    def _is_resolved(self, failed: EarlierRecord) -> bool:
        """Whether what failed has a final result; what could not be read has its source id for its item id."""
        return self._is_final(failed.item_id) or bool(self.item_of(failed.item_id))


def _status(record: EarlierRecord) -> PriorStatus:
    """Of a record that is final. A duplicate says of its image's failure why it failed, and nothing of its success."""
    failed = record.outcome == RecordStatus.FAILED.value
    is_of_failed = record.outcome == RecordStatus.DUPLICATE.value and record.code is not None
    return PriorStatus.FAILED_EARLIER_RUN if failed or is_of_failed else PriorStatus.SUCCEEDED_EARLIER_RUN
