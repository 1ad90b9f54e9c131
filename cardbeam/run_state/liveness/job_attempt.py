"""Which launch of a run makes its calls: what is left of an earlier one sends nothing more.

A cluster need not end the job of a killed launch. Each launch counts its inputs before its first call, and takes the
next number there, once: a stage that runs again takes none. Bundles of one launch are told apart by `group_owners`. No
clock is asked.
"""

from __future__ import annotations

from cardbeam.run_state.layout import run_file
from cardbeam.storage.folder import Folder

ATTEMPT_FILE = "attempt"


def begin_attempt(folder: Folder, run_id: str, launch: str) -> str:
    """The name of a launch's attempt, which sorts behind those of earlier launches: from now on it is the last.

    It is the same however often it is begun.
    """
    last = _read(folder, run_id)
    number, _, begun_by = last.partition("-")
    if begun_by == launch:
        return last
    attempt = f"{int(number or 0) + 1:09d}-{launch}"
    folder.write(run_file(run_id, ATTEMPT_FILE), attempt.encode())
    return attempt


class JobAttempt:
    """What a process knows of the attempts at its job. An old answer of the store makes nobody stop."""

    def __init__(self, folder: Folder, run_id: str) -> None:
        self._folder, self._run_id = folder, run_id
        self._last = ""

    def poll(self) -> None:
        """Learn of a newer one.

        Raises:
            OSError: the store does not tell; the next time may be in time still.
        """
        self._last = max(self._last, _read(self._folder, self._run_id))

    def is_superseded(self, attempt: str) -> bool:
        """Whether a later one has begun; never for what belongs to none."""
        return bool(attempt) and attempt < self._last


def _read(folder: Folder, run_id: str) -> str:
    try:
        return folder.read(run_file(run_id, ATTEMPT_FILE)).decode()
    except FileNotFoundError:
        return ""
