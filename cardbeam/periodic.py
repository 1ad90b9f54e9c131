"""A step that is repeated beside a block, on a thread of its own, until the block ends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cardbeam.errors import CardbeamError
from cardbeam.storage.uris import redact

_LOG = logging.getLogger("cardbeam")
RETRY_S = 5.0
"""From a step that failed to the next."""


@contextmanager
def repeated(
    name: str, step: Callable[[], float | None], *, first_s: float = 0.0, ends_within_s: float | None = None
) -> Iterator[None]:
    """Call `step` after `first_s` seconds, and again after as many as it returns, until it returns None.

    A step that raises is called again after `RETRY_S`, and logged. The block's end waits for a step in progress, or for
    `ends_within_s`.
    """
    over = threading.Event()

    def run() -> None:
        wait_s: float | None = first_s
        while wait_s is not None and not over.wait(wait_s):
            wait_s = _tried(name, step)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(ends_within_s)


def _tried(name: str, step: Callable[[], float | None]) -> float | None:
    try:
        return step()
    except Exception as error:  # a store's client may raise anything, and the next time may be better
        _LOG.warning("retrying %s after error: %s", name, safe_message(error))
        return RETRY_S


def safe_message(error: BaseException) -> str:
    """The message of an error; of one that is not the operating system's or ours its kind alone, for it may hold card
    text."""
    return redact(str(error)) if isinstance(error, (OSError, CardbeamError)) else type(error).__name__
