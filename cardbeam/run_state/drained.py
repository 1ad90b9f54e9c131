"""The mark of a watch that makes no more calls: its last result is durable, so what is left is to publish and to end.

A stage behind the calls writes it once its inputs have ended; the publisher, which may be on another machine, reads it.
"""

from __future__ import annotations

from dataclasses import dataclass

from cardbeam.run_state.layout import run_file
from cardbeam.storage.folder import Folder
from cardbeam.storage.state_file import read_state, write_state

DRAINED_FILE = "drained.json"


@dataclass(frozen=True, slots=True)
class _Drained:
    session: str


def mark_drained(folder: Folder, run_id: str, session: str) -> None:
    """Tell that the launch of this name makes no more calls."""
    write_state(folder, run_file(run_id, DRAINED_FILE), _Drained(session))


def is_drained(folder: Folder, run_id: str, session: str) -> bool:
    """Whether the launch makes no more calls.

    Raises:
        OSError: the folder cannot be used.
    """
    return read_state(folder, run_file(run_id, DRAINED_FILE), _Drained) == _Drained(session)
