"""Inputs on any filesystem: listed as a stream, described and read with the version of what was read.

Local paths go by the standard library and buckets by obstore; https is read by smart-open,
and so is every other scheme, which is listed by what `list_elsewhere_with` was given.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import smart_open

from cardbeam.errors import CardbeamError
from cardbeam.inputs.image_check import MAX_IMAGE_BYTES
from cardbeam.model.request import ImageRef
from cardbeam.storage.errors import StoreError
from cardbeam.storage.globs import is_glob, list_names, parse_glob
from cardbeam.storage.object_store import Listed, is_in_bucket, object_at
from cardbeam.storage.open_uri import CANNOT_OPEN, SourceError, expect_regular, open_descriptor
from cardbeam.storage.parallel_listing import list_in_parallel
from cardbeam.storage.uris import local_name, local_path, uri_of_path
from cardbeam.storage.web import HttpSourceError, describe_web, is_web, read_web
from schemas.outcomes import OUTCOMES, Outcome

_MAX_BYTES = MAX_IMAGE_BYTES + 1
_CHUNK_BYTES = 1024 * 1024


class ImageError(CardbeamError):
    """An image that cannot be read, as the outcome that says so."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.code)
        self.outcome = outcome


class StorageRefused(CardbeamError):
    """A store refused to give an image: it alone, or everything, if the credentials ran out."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.uri = uri


@dataclass(frozen=True, slots=True)
class ImageContent:
    """The bytes of an image, and which version of it they are; none if it changed under the reading."""

    content: bytes
    image: ImageRef


def describe(uri: str) -> ImageRef:
    """A URI as a Image, with size and version where one look tells them.

    Raises:
        SourceError: the bucket cannot be reached: without a version, an answered image looks new.
    """
    if (name := local_name(uri)) is not None:
        return _describe_local(uri, name)
    if is_web(uri):
        return describe_web(uri)
    if not is_in_bucket(uri):
        return ImageRef(uri)
    try:
        return as_image_ref(object_at(uri).head())
    except (FileNotFoundError, PermissionError):  # reading it will say so
        return ImageRef(uri)
    except StoreError as error:
        raise SourceError(str(error)) from error


def _describe_local(uri: str, name: str) -> ImageRef:
    try:
        found = os.stat(name)  # noqa: PTH116  # a Path for each of millions costs more than the look
    except (OSError, ValueError):  # a name that holds a NUL is a ValueError
        return ImageRef(uri)
    return _of_stat(uri, found) if stat.S_ISREG(found.st_mode) else ImageRef(uri)


def _of_stat(uri: str, found: os.stat_result) -> ImageRef:
    return ImageRef(uri, found.st_size, str(found.st_mtime_ns), found.st_mtime)


def as_image_ref(listed: Listed) -> ImageRef:
    """What a listing tells, as a Image."""
    return ImageRef(listed.uri, listed.size_bytes, listed.version, listed.modified_s)


def _unknown_scheme(pattern: str) -> Iterator[ImageRef]:
    raise SourceError(f"--input {pattern} cannot be listed: unknown scheme")


Lister = Callable[[str], Iterator[ImageRef]]
_list_elsewhere: Lister = _unknown_scheme


def list_elsewhere_with(lister: Lister) -> None:
    """Have patterns of all other schemes listed by `lister`, in this process."""
    global _list_elsewhere  # noqa: PLW0603  # one for each process, set before anything is listed
    _list_elsewhere = lister


def list_images(pattern: str) -> Iterator[ImageRef]:
    """Every file that a glob or a folder holds, with size and version, as a stream.

    Raises:
        SourceError: the filesystem is not known here or cannot be listed.
    """
    if (local := local_path(pattern)) is not None:
        yield from _list_local(local)
    elif is_in_bucket(pattern):
        try:
            yield from map(as_image_ref, _list_bucket(pattern))
        except OSError as error:
            raise SourceError(f"--input {pattern} cannot be listed: {error}") from error
    elif is_web(pattern):
        raise SourceError(
            f"--input {pattern} cannot be listed: a web server lists nothing; name its images in a manifest"
        )
    else:
        yield from _list_elsewhere(pattern)


def _list_local(path: Path) -> Iterator[ImageRef]:
    """What is there under the very name is meant itself, whatever wildcards are in it."""
    pattern = glob.escape(str(path)) if path.exists() else str(path)
    if path.is_dir():
        pattern = str(Path(pattern, "**"))
    images = (_describe_local(uri_of_path(name), name) for name in list_names(pattern))
    try:
        yield from (image for image in images if image.version is not None)
    except OSError as error:
        raise SourceError(f"--input {path} cannot be listed: {error.filename}: {error.strerror}") from error


def _list_bucket(pattern: str) -> Iterator[Listed]:
    place = object_at(pattern)
    if is_glob(place.key):
        found = parse_glob(place.key)
        start = len(f"{place.bucket}/")
        for listed in list_in_parallel(f"{place.bucket}/{found.folder}", found.after):
            if found.matches.fullmatch(listed.uri, start):
                yield listed
        return
    if place.key and not place.key.endswith("/"):
        try:
            yield place.head()
        except FileNotFoundError:
            pass
        else:
            return
    yield from list_in_parallel(pattern)


def read_image(uri: str) -> ImageContent:
    """An image's bytes, one more than `MAX_IMAGE_BYTES` at the most.

    Raises:
        ImageError: `not_found` or `unreadable_source`.
        StorageRefused: the bucket does not give it to us.
    """
    try:
        if (name := local_name(uri)) is not None:
            return _read_local(uri, name)
        if is_web(uri):
            return ImageContent(*read_web(uri, _MAX_BYTES))
        if is_in_bucket(uri):
            return _read_bucket(uri)
        with smart_open.open(uri, "rb", compression="disable") as file:
            return ImageContent(file.read(_MAX_BYTES), ImageRef(uri))
    except FileNotFoundError as error:
        raise ImageError(OUTCOMES["not_found"]) from error
    except HttpSourceError as error:
        raise ImageError(OUTCOMES["not_found" if error.is_gone else "unreadable_source"]) from error
    except CANNOT_OPEN as error:
        raise ImageError(OUTCOMES["unreadable_source"]) from error


def _read_local(uri: str, name: str) -> ImageContent:
    """In as few calls of the system as can be: at each, many threads may change turns."""
    before, descriptor = open_descriptor(name)
    try:
        content = _read_most(descriptor, before.st_size)
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    expect_regular(name, after)
    is_one = (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
    return ImageContent(content, _of_stat(uri, after) if is_one else ImageRef(uri))


def _read_most(descriptor: int, size_bytes: int) -> bytes:
    """All that is there, in one piece where it is of the size that was said; never more than `_MAX_BYTES`."""
    content = os.read(descriptor, min(size_bytes + 1, _MAX_BYTES))
    if len(content) == size_bytes:  # one more was asked for
        return content
    grown = bytearray(content)
    while len(grown) < _MAX_BYTES and (more := os.read(descriptor, min(_CHUNK_BYTES, _MAX_BYTES - len(grown)))):
        grown += more
    return bytes(grown)


def _read_bucket(uri: str) -> ImageContent:
    try:
        content, listed = object_at(uri).read_version(_MAX_BYTES)
    except PermissionError as error:
        raise StorageRefused(uri) from error
    return ImageContent(content, as_image_ref(listed))
