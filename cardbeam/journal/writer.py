"""What a journal promises: a record that was added is durable."""

from __future__ import annotations

from typing import Protocol

from cardbeam.model.record import JournalRecord
from cardbeam.run_state.layout import JOURNAL, JOURNAL_SUFFIX, of_run


class Journal(Protocol):
    """Where processed inputs are made durable."""

    def check(self) -> None:
        """Whether the answer of a request that is sent now can be kept; the first time this writes, to prove it.

        Raises:
            OSError: it cannot, or an earlier record could not be written.
        """

    def append(self, record: JournalRecord) -> None:
        """Take one record; durable at return on a disk, after the next flush in a bucket."""

    def flush(self) -> None:
        """Make everything taken so far durable."""

    def close(self) -> None:
        """Flush and let go."""


def segment_name(run_id: str, sequence: int, writer: str) -> str:
    """Where a writer's nth segment stands."""
    return f"{of_run(JOURNAL, run_id)}/{writer}-{sequence:06d}{JOURNAL_SUFFIX}"
