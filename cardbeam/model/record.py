"""A processed request, as journal and ledger hold it."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from msgspec import Meta, Struct

from cardbeam.model.request import Labels, input_id_of

_Id = Annotated[str, Meta(min_length=32, max_length=32)]
_Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
_Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


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


class JournalRecord(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One processed input: a row of the ledger, a record of the journal. Times are µs since 1970, UTC.

    The journal holds it as a JSON list, which is read typed and checked at once; integers fit the ledger's columns.
    """

    item_id: _Id
    source_id: _Id | None
    outcome: str
    operation: str
    uris: tuple[str, ...]
    labels: Labels
    started_at: _Int64
    completed_at: _Int64
    stage: str | None = None
    code: str | None = None
    message: str | None = None
    http_status: _Int32 | None = None
    attempts: _Int32 = 0
    retriable: bool = False
    latency_s: float | None = None
    image_bytes: _Int64 | None = None
    response: bytes | None = None

    @property
    def input_id(self) -> str | None:
        """The key of the input, where the source id does not identify it."""
        return input_id_of(self.source_id, self.item_id, self.uris, self.labels)
