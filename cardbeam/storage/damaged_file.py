"""The error of a stored file that cannot be trusted: it is damaged, missing, or of another format.

A command that pays or deletes ends with it, exit status 4: what the file held may have been paid for already. A command
that only reads warns, and goes on without the file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from cardbeam.errors import CardbeamError

_LOG = logging.getLogger("cardbeam")
_ADVICE = "Restore the file, or see docs/operations.md"


class DamagedFile(CardbeamError, OSError):
    """A file of the output folder that is damaged, missing, or of a format that this version does not read.

    The message is its only argument: Beam makes an error again from its arguments.
    """

    path = ""
    """Of the file, in the output folder."""
    records = 0
    """Records of the journal that are lost, at least."""

    @classmethod
    def of(cls, path: str, what: str, records: int = 0) -> DamagedFile:
        """The error of a file; `what` says what is wrong with it, and quotes nothing that it holds."""
        error = cls(f"{path} {what}. {_ADVICE}")
        error.path, error.records = path, records
        return error


OnDamage = Callable[[DamagedFile], None]
"""What a reader does about a file that cannot be trusted: raise the error, or note it and go on."""


def refuse(error: DamagedFile) -> None:
    """Raise it: for commands that pay or delete."""
    raise error


def pass_over(_: DamagedFile) -> None:
    """Go on: for those whose caller reads the same again, and notes it then."""


def warn(error: DamagedFile) -> None:
    """Log it and go on: for commands that only read."""
    _LOG.warning("%s", error)


def lost_records(count: int) -> str:
    """How many records are lost, in words."""
    return f"{count or 'no'} {'record is' if count < 2 else 'records are'} lost"
