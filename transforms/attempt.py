"""Which attempt at a job's calls is the last: what is left of an earlier one sends nothing more.

A runner that lost a worker starts a job's stages again, and need not end what other workers still do for the attempt
before; nor does a cluster end the job of a launch that died. Each attempt counts its inputs before its first call, and
takes the next number there. No clock is asked.
"""

from __future__ import annotations

import uuid

from transforms.layout import run_file
from transforms.storage import Folder

ATTEMPT_FILE = "attempt"


def begin_attempt(folder: Folder, run_id: str) -> str:
    """The name of a new attempt, which sorts behind all earlier ones: from now on it is the last."""
    number = int(_read(folder, run_id).partition("-")[0] or 0) + 1
    attempt = f"{number:09d}-{uuid.uuid4().hex}"
    folder.write(run_file(run_id, ATTEMPT_FILE), attempt.encode())
    return attempt


class LastAttempt:
    """What a process knows of the attempts at its job. An old answer of the store makes nobody stop."""

    def __init__(self, folder: Folder, run_id: str) -> None:
        self._folder, self._run_id = folder, run_id
        self._last = ""

    def look(self) -> None:
        """Learn of a newer one.

        Raises:
            OSError: the store does not tell; the next time may be in time still.
        """
        self._last = max(self._last, _read(self._folder, self._run_id))

    def is_over(self, attempt: str) -> bool:
        """Whether a later one has begun; never for what belongs to none."""
        return bool(attempt) and attempt < self._last


def _read(folder: Folder, run_id: str) -> str:
    try:
        return folder.read(run_file(run_id, ATTEMPT_FILE)).decode()
    except FileNotFoundError:
        return ""
