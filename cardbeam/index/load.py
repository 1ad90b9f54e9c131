"""Loads what a process holds of the index: records that the index on disk does not hold, from ledger and journal."""

from __future__ import annotations

from itertools import chain

from cardbeam.index.on_disk.stored_index import open_index
from cardbeam.index.processed_index import ProcessedIndex
from cardbeam.index.record_keys import journal_keys, ledger_keys
from cardbeam.storage.folder import Folder


def load_index(folder: Folder, run_id: str, *, is_replay: bool = False, since_us: int = 0) -> ProcessedIndex:
    """Everything processed in the output folder, by any run; what the index on disk holds is left there.

    What was completed before `since_us` is to be read again: it counts as unknown. So does a duplicate whose
    original the index holds: it is opened, and found by its content if that was read since.

    A watch may publish meanwhile: it merges ledger files, and removes segments that the ledger took over. What came to
    the ledger after it was read is left to who follows it (see `JournalFollower`).

    Raises:
        DamagedFile: a file of the ledger or the journal is damaged.
        OSError: the output cannot be read.
    """
    stored = open_index(folder, since_us=since_us)
    held = stored.run_ids - {run_id} if stored else frozenset[str]()
    erased = stored.erased() if stored else ()
    records = chain(erased, ledger_keys(folder, since_us, held), journal_keys(folder, since_us))
    return ProcessedIndex(records, run_id, is_replay=is_replay, stored=stored)
