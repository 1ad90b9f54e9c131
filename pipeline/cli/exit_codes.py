"""How a command ends: the exit statuses that schedulers act on, and the error of bad usage."""

from __future__ import annotations

from collections.abc import Iterator

from cardbeam.errors import CardbeamError
from cardbeam.storage.uris import redact
from pipeline.cli.remote_error import remote_error

_OF_A_STEP = "_tagged_with_step"
"""What Beam marks its error with that it raises while it handles that of a step, without naming it as the cause."""
EXIT_COMPLETE = 0
EXIT_USAGE = 2
EXIT_LATER = 3
"""Stopped by quota or budget; resume later."""
EXIT_FAILED = 4
"""Failed, or not reconciled."""
EXIT_REFUSED = 5
"""Credentials refused."""
EXIT_CHECK_FAILED = 6
"""Complete, but a check failed."""


def exit_status_of(error: BaseException | None) -> int:
    """How an error ends the process, whatever wraps it: the innermost that says so by its `exit_status` decides."""
    statuses = [status for one in _causes(error) if (status := getattr(one, "exit_status", None)) is not None]
    return int(statuses[-1]) if statuses else EXIT_FAILED


def innermost(error: BaseException) -> BaseException:
    """The error that the others were raised from."""
    return list(_causes(error))[-1]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it was raised from, the last of which may have been raised in another process."""
    while error is not None:
        yield error
        if type(error) is RuntimeError and error.__cause__ is None and (message := remote_error(error)) is not None:
            yield message
        error = error.__cause__ or (error.__context__ if hasattr(error, _OF_A_STEP) else None)


class UsageError(CardbeamError):
    """What was asked cannot be done; the message says what was got and what was expected."""

    exit_status = EXIT_USAGE

    def __init__(self, message: str = "") -> None:
        super().__init__(redact(message))
