"""Inputs on any filesystem: listed as a stream, described and read with the version of what was read."""

from __future__ import annotations

from collections.abc import Iterator

from cardbeam.errors import CardbeamError
from cardbeam.inputs.image_check import MAX_IMAGE_BYTES
from cardbeam.model.request import ImageRef
from cardbeam.storage.errors import StoreError
from cardbeam.storage.filesystems.lookup import filesystem_for
from cardbeam.storage.filesystems.protocol import ImageContent, NotListed
from cardbeam.storage.open_uri import CANNOT_OPEN, SourceError
from cardbeam.storage.web import HttpSourceError
from schemas.outcomes import OUTCOMES, Outcome


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


def describe(uri: str) -> ImageRef:
    """A URI as an image, with size and version where one look tells them.

    Raises:
        SourceError: the bucket cannot be reached: without a version, an answered image looks new.
    """
    try:
        return filesystem_for(uri).stat(uri)
    except StoreError as error:
        raise SourceError(str(error)) from error
    except (OSError, ValueError):  # reading it will say so; a name that holds a NUL is a ValueError
        return ImageRef(uri)


def list_images(pattern: str) -> Iterator[ImageRef]:
    """Every file that a glob or a folder holds, with size and version, as a stream.

    Raises:
        SourceError: the filesystem is not known here or cannot be listed.
    """
    try:
        yield from filesystem_for(pattern).list(pattern)
    except NotListed as error:
        raise SourceError(f"--input {pattern} cannot be listed: {error}") from error


def read_image(uri: str) -> ImageContent:
    """An image's bytes, one more than `MAX_IMAGE_BYTES` at the most.

    Raises:
        ImageError: `not_found` or `unreadable_source`.
        StorageRefused: the bucket does not give it to us.
    """
    filesystem = filesystem_for(uri)
    try:
        return filesystem.read(uri, MAX_IMAGE_BYTES + 1)
    except FileNotFoundError as error:
        raise ImageError(OUTCOMES["not_found"]) from error
    except HttpSourceError as error:
        raise ImageError(OUTCOMES["not_found" if error.is_gone else "unreadable_source"]) from error
    except CANNOT_OPEN as error:
        if filesystem.has_credentials and isinstance(error, PermissionError):
            raise StorageRefused(uri) from error
        raise ImageError(OUTCOMES["unreadable_source"]) from error
