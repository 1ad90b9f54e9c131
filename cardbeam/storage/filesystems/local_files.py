"""Files of this machine, by the standard library; no device or pipe is opened."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cardbeam.model.request import ImageRef
from cardbeam.storage.filesystems.protocol import ImageContent, NotListed
from cardbeam.storage.globs import list_names
from cardbeam.storage.uris import local_name, local_path, uri_of_path

_CHUNK_BYTES = 1024 * 1024


class LocalFiles:
    """What disks hold; a version is the time of the last change."""

    is_local = True
    has_credentials = False

    def stat(self, uri: str) -> ImageRef:
        """Without a version where it is no regular file."""
        return _stat(uri, _name(uri))

    def list(self, pattern: str) -> Iterator[ImageRef]:
        """What is there under the very name is meant itself, whatever wildcards are in it."""
        path = local_path(pattern) or Path()
        names = glob.escape(str(path)) if path.exists() else str(path)
        if path.is_dir():
            names = str(Path(names, "**"))
        try:
            yield from filter(_is_file, (_known(uri_of_path(name), name) for name in list_names(names)))
        except OSError as error:
            raise NotListed(f"{error.filename}: {error.strerror}") from error

    def read(self, uri: str, max_bytes: int) -> ImageContent:
        """In as few calls of the system as can be: at each, many threads may change turns."""
        name = _name(uri)
        before, descriptor = _open_descriptor(name)
        try:
            content = _read_most(descriptor, before.st_size, max_bytes)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        _expect_regular(name, after)
        is_one = (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
        return ImageContent(content, _of_stat(uri, after) if is_one else ImageRef(uri))

    def open(self, uri: str) -> IO[bytes]:
        """A regular file."""
        name = _name(uri)
        _, descriptor = _open_descriptor(name)
        file = os.fdopen(descriptor, "rb")
        try:
            _expect_regular(name, os.fstat(descriptor))
        except OSError:
            file.close()
            raise
        return file

    def url(self, uri: str) -> str | None:
        """The endpoint is another machine."""
        return None


def _name(uri: str) -> str:
    return local_name(uri) or ""


def _stat(uri: str, name: str) -> ImageRef:
    found = os.stat(name)  # noqa: PTH116  # a Path for each of millions costs more than the call
    return _of_stat(uri, found) if stat.S_ISREG(found.st_mode) else ImageRef(uri)


def _known(uri: str, name: str) -> ImageRef:
    try:
        return _stat(uri, name)
    except (OSError, ValueError):  # gone since it was listed
        return ImageRef(uri)


def _is_file(image: ImageRef) -> bool:
    return image.version is not None


def _of_stat(uri: str, found: os.stat_result) -> ImageRef:
    return ImageRef(uri, found.st_size, str(found.st_mtime_ns), found.st_mtime)


def _read_most(descriptor: int, size_bytes: int, max_bytes: int) -> bytes:
    """All that is there, in one piece where it is of the size that was said; never more than `max_bytes`."""
    content = os.read(descriptor, min(size_bytes + 1, max_bytes))
    if len(content) == size_bytes:  # one more was asked for
        return content
    grown = bytearray(content)
    while len(grown) < max_bytes and (more := os.read(descriptor, min(_CHUNK_BYTES, max_bytes - len(grown)))):
        grown += more
    return bytes(grown)


def _open_descriptor(name: str) -> tuple[os.stat_result, int]:
    """What is there under a name, and a descriptor of it.

    To open a device may do something, and a pipe waits for its writer, so neither is opened. Where one takes the place
    of the file in this moment, nothing waits for it either, and the caller finds out by its descriptor.
    """
    found = os.stat(name)  # noqa: PTH116  # a Path for each of millions costs more than the call
    _expect_regular(name, found)
    return found, os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)


def _expect_regular(name: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"{name} is not a regular file")
