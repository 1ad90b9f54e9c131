"""Standard streams that are closed, or whose reader has gone: what a run did does not depend on who reads of it."""

from __future__ import annotations

import logging
import os
import sys

_LOG = logging.getLogger("cardbeam")


def open_closed_streams() -> None:
    """Open standard streams that the process was started without: else the next file that is opened would be one."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def drop_stdout() -> None:
    """Write to nowhere from now on, or Python complains as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def tell(text: str) -> None:
    """Print what came of a run. Where that cannot be written, the run has ended all the same."""
    try:
        print(text, flush=True)
    except OSError as error:  # a closed pipe, a full disk
        drop_stdout()
        _LOG.warning("the summary cannot be printed: %s", error.strerror)
