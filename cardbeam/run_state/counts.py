"""Reads the counts of a run: what its inputs hold, and what of it was processed before."""

from __future__ import annotations

from cardbeam.model.result import FOUND, Counts
from cardbeam.run_state.layout import COUNTS_FILE, run_file
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import Folder
from cardbeam.storage.state_file import decode_json


def read_found(folder: Folder, run_id: str) -> Counts | None:
    """What a run had found and knew of that before its first call; None where it is not counted yet.

    Raises:
        DamagedFile: the file is not whole.
    """
    path = run_file(run_id, COUNTS_FILE)
    try:
        counts: Counts = decode_json(path, folder.read(path), dict[str, int])
    except FileNotFoundError:
        return None
    if FOUND not in counts:
        raise DamagedFile.of(path, f"has no field {FOUND!r}")
    return counts
