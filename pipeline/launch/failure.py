"""From an error or a receipt to one line for the user and an exit status."""

from __future__ import annotations

import logging
import sys
import traceback

from cardbeam.errors import CardbeamError
from cardbeam.run_state.layout import run_file
from cardbeam.run_state.receipt import Receipt
from cardbeam.run_state.stop_signal import STOP_FILE, read_stop
from cardbeam.storage.folder import Folder
from cardbeam.storage.uris import redact
from pipeline.cli.exit_codes import EXIT_CHECK_FAILED, EXIT_COMPLETE, EXIT_FAILED, exit_status_of, innermost
from pipeline.report.checks import has_failed

_LOG = logging.getLogger("cardbeam")
_READERS = ("/cardbeam/tables/", "/cardbeam/journal/", "/cardbeam/index/", "/schemas/")
"""Where responses are read."""
_REMOTE = "Traceback (most recent call last)"
"""In the text of an error of another process, which does not tell where it was raised first."""


def fail(message: str, error: Exception | None = None) -> int:
    """Say in one line why a run did not come to its end; the exit status."""
    _LOG.debug(message, exc_info=error)
    print(f"{message}. Rerun the same command to resume", file=sys.stderr)
    return exit_status_of(error)


def cause(error: BaseException) -> str:
    """The innermost error in its own words. Of one that may have been raised while responses were read, its kind and
    place alone: libraries put values into their messages, and a value may be card text."""
    error = innermost(error)
    if isinstance(error, (OSError, CardbeamError)):
        return redact(str(error))
    frames = traceback.extract_tb(error.__traceback__)
    kind, lines = type(error).__name__, [line.strip() for line in str(error).splitlines() if line.strip()]
    is_of_reader = any(reader in frame.filename for frame in frames for reader in _READERS)
    if lines and not is_of_reader and _REMOTE not in str(error):
        return redact(f"{kind}: {lines[0]}")
    return f"{kind} at {frames[-1].filename}:{frames[-1].lineno}" if frames else kind


def exit_status(folder: Folder, receipt: Receipt) -> int:
    """How a run that has its receipt ends the process."""
    if receipt.status == "complete":
        return EXIT_CHECK_FAILED if has_failed(receipt) else EXIT_COMPLETE
    stop = read_stop(folder, run_file(receipt.run_id, STOP_FILE))
    return stop.exit_status if stop and receipt.reconciled else EXIT_FAILED
