"""Loads the index of processed requests from ledger and journal."""

from __future__ import annotations

from itertools import chain

from cardbeam.index.processed_index import ProcessedIndex
from cardbeam.index.record_keys import journal_keys, ledger_keys
from cardbeam.storage.folder import Folder


def load_index(folder: Folder, run_id: str, *, is_replay: bool = False, since_us: int = 0) -> ProcessedIndex:
    """Everything processed in the output folder, by any run; what was completed before `since_us` is to be read again.

    A watch may publish meanwhile: it merges ledger files, and removes segments that the ledger took over. What came to
    the ledger after it was read is left to who follows it (see `JournalFollower`).
    """
    records = chain(ledger_keys(folder, since_us), journal_keys(folder, since_us))
    return ProcessedIndex(records, run_id, is_replay=is_replay)
