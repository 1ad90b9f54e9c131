"""Opens any file by its URI for reading."""

from __future__ import annotations

from typing import IO

from cardbeam.errors import CardbeamError
from cardbeam.storage.filesystems.lookup import filesystem_for
from cardbeam.storage.uris import redact

CANNOT_OPEN = (OSError, ValueError, ImportError, NotImplementedError)
"""What smart-open raises for a file that is not there, may not be read, or has no known scheme."""


class SourceError(CardbeamError):
    """An input that cannot be listed or read; the message names the input and what went wrong."""

    exit_status = 2

    def __init__(self, message: str) -> None:
        super().__init__(redact(message))


def open_source(uri: str) -> IO[bytes]:
    """Open any URI for reading, as it is: nothing is decompressed. Errors as they come."""
    return filesystem_for(uri).open(uri)
