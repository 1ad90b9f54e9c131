"""A processed request, as journal and ledger hold it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from cardbeam.model.request import Labels, input_id_of


class RecordStatus(str, Enum):
    """How the journal and the ledger say that an input was processed."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DUPLICATE = "duplicate"
    RETRY = "retry"
    """It failed for now, and this run tries it again: not processed yet."""
    DEFERRED = "deferred"
    """Its calls were made, or not, in an outage or a run that stopped: not processed, and no failure of its own."""
    ERASED = "erased"
    """It was processed, and all that was read of it is erased: it is not sent again."""
    FORGOTTEN = "forgotten"
    """It was erased, and may be sent again."""


RESPONSE_DROPPED = "response_dropped"
"""The code of a record that succeeded and whose response is no longer kept: nothing is published from it again."""
LEFT = frozenset({RecordStatus.RETRY.value, RecordStatus.DEFERRED.value})
"""Records that process nothing: the request is sent again."""


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """One processed input: a row of the ledger, a record of the journal. Times are µs since 1970, UTC."""

    item_id: str
    source_id: str | None
    outcome: str
    operation: str
    uris: tuple[str, ...]
    labels: Labels
    started_at: int
    completed_at: int
    stage: str | None = None
    code: str | None = None
    message: str | None = None
    http_status: int | None = None
    attempts: int = 0
    retriable: bool = False
    latency_s: float | None = None
    image_bytes: int | None = None
    response: bytes | None = None

    @property
    def input_id(self) -> str | None:
        """The key of the input, where the source id does not identify it."""
        return input_id_of(self.source_id, self.item_id, self.uris, self.labels)
