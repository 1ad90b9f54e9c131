"""Inputs on any filesystem: globs listed by Beam's filesystems, bytes read by smart-open.

Local paths take the short way through the standard library.
"""

from __future__ import annotations

import glob
import stat
from collections.abc import Iterator
from typing import IO

import requests
import smart_open
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from schemas.outcomes import OUTCOMES, Outcome
from transforms.elements import Picture
from transforms.pictures import MAX_PICTURE_BYTES
from transforms.uris import local_path

CANNOT_OPEN = (OSError, ValueError, ImportError, NotImplementedError)
"""What smart-open raises for a file that is not there, may not be read, or has no known scheme."""


class SourceError(Exception):
    """An input that cannot be listed or read; the message names the input and what went wrong."""


class PictureFault(Exception):
    """A picture that cannot be read, as the outcome that says so."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.code)
        self.outcome = outcome


def describe(uri: str) -> Picture:
    """A URI as a Picture, with size and version where one look tells them."""
    path = local_path(uri)
    try:
        found = path.stat() if path else None
    except OSError:
        found = None
    if found is None or not stat.S_ISREG(found.st_mode):
        return Picture(uri)
    return Picture(uri, found.st_size, str(found.st_mtime_ns))


def list_pictures(pattern: str) -> Iterator[Picture]:
    """Every file that a glob or a folder holds, with size and version, as a stream.

    Raises:
        SourceError: the filesystem is not known here or cannot be listed.
    """
    local = local_path(pattern)
    if local is None:
        yield from _list_remote(pattern)
        return
    pattern = str(local / "**" if local.is_dir() else local)
    names = glob.iglob(pattern, recursive=True)  # noqa: PTH207  # Path.glob takes no absolute patterns
    yield from (picture for picture in map(describe, names) if picture.version is not None)


def _list_remote(pattern: str) -> Iterator[Picture]:
    try:
        (matched,) = FileSystems.match([pattern])
    except (BeamIOError, ValueError, OSError, ImportError) as error:
        raise SourceError(f"--input {pattern} cannot be listed: {_reason(error)}") from error
    for found in matched.metadata_list:
        yield Picture(found.path, found.size_in_bytes, str(found.last_updated_in_seconds))


def _reason(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def open_source(uri: str) -> IO[bytes]:
    """Open any URI for reading, as it is: nothing is decompressed. Errors as they come."""
    local = local_path(uri)
    return local.open("rb") if local else smart_open.open(uri, "rb", compression="disable")


def read_picture(uri: str) -> bytes:
    """All bytes of a picture, one more than `MAX_PICTURE_BYTES` at the most.

    Raises:
        PictureFault: `not_found` or `unreadable_source`.
    """
    try:
        with open_source(uri) as file:
            return file.read(MAX_PICTURE_BYTES + 1)
    except FileNotFoundError as error:
        raise PictureFault(OUTCOMES["not_found"]) from error
    except requests.HTTPError as error:
        gone = error.response is not None and error.response.status_code in (404, 410)
        raise PictureFault(OUTCOMES["not_found" if gone else "unreadable_source"]) from error
    except CANNOT_OPEN as error:
        raise PictureFault(OUTCOMES["unreadable_source"]) from error
