"""How an error ends the process: the innermost that says so decides."""

from __future__ import annotations

import pytest

from cardbeam.storage.errors import StoreError, StoreRefused, StoreUnreachable
from cardbeam.storage.open_uri import SourceError
from pipeline.cli.exit_codes import UsageError, exit_status_of
from pipeline.launch.failure import cause
from schemas.fields import Kind
from schemas.value_converters import read_values


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
        (StoreUnreachable("no response"), 4),
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


_FROM_A_WORKER = """org.example: bundle 3 failed
Traceback (most recent call last):
  File "cardbeam/journal/local_writer.py", line 119, in _named
    raise OSError(error.errno, error.strerror, str(self._path)) from None
{message}

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1630, in _reraise_augmented
    raise new_exn
RuntimeError: {message} [while running 'Call the endpoint/Process']
"""


@pytest.mark.parametrize(
    ("message", "words", "status"),
    [
        ("OSError: [Errno 28] No space left on device: '/out/j'", "[Errno 28] No space left on device: '/out/j'", 4),
        (
            "cardbeam.storage.damaged_file.DamagedFile: ledger/x is missing. Restore it",
            "ledger/x is missing. Restore it",
            4,
        ),
        ("cardbeam.storage.errors.StoreRefused: s3://b: refused", "s3://b: refused", 5),
        ("PermissionError: [Errno 13] Permission denied: '/out'", "[Errno 13] Permission denied: '/out'", 4),
        ("pyarrow.lib.ArrowInvalid: could not read NGUYEN VAN MAU", "RuntimeError", 4),
        ("ValueError: NGUYEN VAN MAU", "RuntimeError", 4),
    ],
)
def test_an_error_of_another_process(message: str, words: str, status: int) -> None:
    """Words and status are those of the system's error, or of ours, that the runner's text tells of."""
    error = RuntimeError(_FROM_A_WORKER.format(message=message))
    assert (cause(error), exit_status_of(error)) == (words, status)


def test_an_error_of_a_step() -> None:
    """Beam raises another one while it handles that of a step, and names no cause."""
    try:
        try:
            raise OSError(28, "No space left on device", "/out/j")
        except OSError as first:
            error = RuntimeError(f"OSError: {first} [while running 'Process']")
            error._tagged_with_step = True  # type: ignore[attr-defined]  # as Beam does
            raise error  # noqa: B904  # nor does Beam name a cause
    except RuntimeError as raised:
        assert cause(raised) == "[Errno 28] No space left on device: '/out/j'"


def test_a_runner_keeps_its_words() -> None:
    """What a runner says of itself is shown, without the query of a URL."""
    error = ValueError("job rejected by https://jobs/x?token=SECRET\nand more")
    assert cause(error) == "ValueError: job rejected by https://jobs/x?…"


def test_what_reads_responses_is_not_quoted() -> None:
    """An error on the way from response to rows may hold a value: its kind and place are told."""
    with pytest.raises(TypeError) as raised:
        read_values(Kind.TEXT, 7)  # type: ignore[arg-type]
    shown = cause(raised.value)
    assert (shown.startswith("TypeError at "), "value_converters.py:" in shown) == (True, True)
