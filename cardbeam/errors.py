"""The root of the errors that cardbeam raises itself, with the exit status of a process that one of them ends."""

from __future__ import annotations


class CardbeamError(Exception):
    """An error whose message is our own: it names what failed, and holds no card text and no secret.

    Errors that stand for one of the operating system's derive from that too, so that `except OSError` holds for both.
    """

    @property
    def exit_status(self) -> int | None:
        """How it ends the process; None where it leaves that to what it was raised from."""
        return None
