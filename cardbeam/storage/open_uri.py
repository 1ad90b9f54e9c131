"""Opens any file by its URI for reading."""

from __future__ import annotations

import os
import stat
from typing import IO

import smart_open

from cardbeam.errors import CardbeamError
from cardbeam.storage.object_store import is_in_bucket, object_at
from cardbeam.storage.range_reader import open_object
from cardbeam.storage.uris import local_name, redact
from cardbeam.storage.web import is_web, open_web

CANNOT_OPEN = (OSError, ValueError, ImportError, NotImplementedError)
"""What smart-open raises for a file that is not there, may not be read, or has no known scheme."""


class SourceError(CardbeamError):
    """An input that cannot be listed or read; the message names the input and what went wrong."""

    exit_status = 2

    def __init__(self, message: str) -> None:
        super().__init__(redact(message))


def open_source(uri: str) -> IO[bytes]:
    """Open any URI for reading, as it is: nothing is decompressed. Errors as they come."""
    if (name := local_name(uri)) is not None:
        return _open_regular(name)
    if is_web(uri):
        return open_web(uri)
    return open_object(object_at(uri)) if is_in_bucket(uri) else smart_open.open(uri, "rb", compression="disable")


def _open_regular(name: str) -> IO[bytes]:
    _, descriptor = open_descriptor(name)
    file = os.fdopen(descriptor, "rb")
    try:
        expect_regular(name, os.fstat(descriptor))
    except OSError:
        file.close()
        raise
    return file


def open_descriptor(name: str) -> tuple[os.stat_result, int]:
    """What is there under a name, and a descriptor of it.

    To open a device may do something, and a pipe waits for its writer, so neither is opened. Where one takes the place
    of the file in this moment, nothing waits for it either, and the caller finds out by its descriptor.
    """
    found = os.stat(name)  # noqa: PTH116  # a Path for each of millions costs more than the look
    expect_regular(name, found)
    return found, os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)


def expect_regular(name: str, found: os.stat_result) -> None:
    """Raise where a name is no regular file."""
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"{name} is not a regular file")
