"""How a verb ends: the exit statuses that schedulers act on, and the error of bad usage."""

from __future__ import annotations

from transforms.store_errors import StoreRefused

EXIT_COMPLETE = 0
EXIT_USAGE = 2
EXIT_LATER = 3
"""Stopped by quota or budget; resume later."""
EXIT_FAILED = 4
"""Failed, or not reconciled."""
EXIT_REFUSED = 5
"""Credentials refused."""


def exit_status_of(error: BaseException | None) -> int:
    """How an error ends the process, whatever wraps it: a store refused the credentials, or any other failure."""
    return EXIT_REFUSED if error and isinstance(innermost(error), StoreRefused) else EXIT_FAILED


def innermost(error: BaseException) -> BaseException:
    """The error that the others were raised from."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


class UsageError(Exception):
    """What was asked cannot be done; the message says what was got and what was expected."""
