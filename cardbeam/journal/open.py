"""Opens the journal of a run for the kind of place its output is."""

from __future__ import annotations

from cardbeam.journal.local_writer import LocalJournal
from cardbeam.journal.object_writer import ObjectJournal
from cardbeam.journal.writer import Journal
from cardbeam.storage.folder import Folder


def open_journal(folder: Folder, run_id: str, flush_s: float) -> Journal:
    """The journal that suits the output's store."""
    return LocalJournal(folder, run_id) if folder.is_local else ObjectJournal(folder, run_id, flush_s)
