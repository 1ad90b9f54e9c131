"""How a watch ends: its listing marks that it has ended, then a stage behind the calls that they have, too.

The publisher, which may be on another machine, ends the run then: what is left is to publish.
"""

from __future__ import annotations

from dataclasses import dataclass

from cardbeam.errors import CardbeamError
from cardbeam.run_state.layout import run_file
from cardbeam.storage.folder import Folder
from cardbeam.storage.state_file import read_state, write_state

DRAINED_FILE = "drained.json"


class NotDrained(CardbeamError):
    """A runner ended the calls of a watch whose listing has not ended."""


@dataclass(frozen=True, slots=True)
class _Drained:
    session: str
    is_drained: bool
    """Whether the calls have ended too, not the listing alone."""


def mark_listing_ended(folder: Folder, run_id: str, session: str) -> None:
    """Mark that the listing of this session has ended. A job that is restored, and ends again, takes nothing back."""
    if not _has_ended(folder, run_id, session):
        write_state(folder, run_file(run_id, DRAINED_FILE), _Drained(session, is_drained=False))


def mark_drained(folder: Folder, run_id: str, session: str) -> None:
    """Mark that the calls of this session have ended: their last result is durable.

    Raises:
        NotDrained: its listing has not ended; the runner lost it, and must begin the job again.
        OSError: the folder cannot be used.
    """
    if not _has_ended(folder, run_id, session):
        raise NotDrained(f"run {run_id}: the runner took the watch for drained, but its listing has not ended")
    write_state(folder, run_file(run_id, DRAINED_FILE), _Drained(session, is_drained=True))


def is_drained(folder: Folder, run_id: str, session: str) -> bool:
    """Whether the calls of this session have ended.

    Raises:
        OSError: the folder cannot be used.
    """
    return _read(folder, run_id) == _Drained(session, is_drained=True)


def _has_ended(folder: Folder, run_id: str, session: str) -> bool:
    known = _read(folder, run_id)
    return known is not None and known.session == session


def _read(folder: Folder, run_id: str) -> _Drained | None:
    return read_state(folder, run_file(run_id, DRAINED_FILE), _Drained)
