"""How an error ends the process: the innermost that says so decides."""

from __future__ import annotations

import pytest

from pipeline.exit import UsageError, exit_status_of
from transforms.sources import SourceError
from transforms.store_errors import StoreError, StoreRefused, StoreUnreachable


def answered(status: int) -> StoreError:
    error = StoreError("the store answered")
    error.status = status
    return error


@pytest.mark.parametrize(
    ("cause", "status"),
    [
        (PermissionError("in/shut"), 2),
        (answered(404), 2),
        (answered(503), 4),
        (StoreUnreachable("no reply"), 4),
        (StoreRefused("expired"), 5),
    ],
)
@pytest.mark.parametrize("wrapper", [UsageError, RuntimeError])
def test_an_input_that_cannot_be_listed(wrapper: type[Exception], cause: Exception, status: int) -> None:
    """What was asked is at fault, unless its store is away or refuses the credentials, whatever wraps the error."""
    source = SourceError("--input cannot be listed")
    source.__cause__ = cause
    outer = wrapper("failed")
    outer.__cause__ = source
    assert exit_status_of(outer) == status


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, 4), (ValueError("x"), 4), (OSError(28, "No space left on device"), 4), (UsageError(), 2)],
)
def test_any_other_error(error: Exception | None, status: int) -> None:
    """What nobody has named is a failure."""
    assert exit_status_of(error) == status
