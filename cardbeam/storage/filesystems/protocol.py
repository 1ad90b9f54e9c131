"""What cardbeam asks of a kind of place, whatever it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Protocol

from cardbeam.errors import CardbeamError
from cardbeam.model.request import ImageRef


class NotListed(CardbeamError):
    """A pattern that cannot be listed; the message says why."""


@dataclass(frozen=True, slots=True)
class ImageContent:
    """The bytes of an image, and which version of it they are; none if it changed under the reading."""

    content: bytes
    image: ImageRef


class FileSystem(Protocol):
    """A kind of place. Methods raise what the place does: `FileNotFoundError`, `PermissionError`, other `OSError`."""

    is_local: bool
    """Whether it is this machine's: a look costs no request."""
    has_credentials: bool
    """Whether it may refuse everything because credentials ran out."""

    def stat(self, uri: str) -> ImageRef:
        """A URI with size and version, where one look tells them."""

    def list(self, pattern: str) -> Iterator[ImageRef]:
        """Every file that a glob or a folder holds, as a stream.

        Raises:
            NotListed: the place cannot be listed.
        """

    def read(self, uri: str, max_bytes: int) -> ImageContent:
        """The first bytes of a file, and which version they are of."""

    def open(self, uri: str) -> IO[bytes]:
        """A file as it is: nothing is decompressed."""

    def url(self, uri: str) -> str | None:
        """A URL that the endpoint can fetch by itself; None where none leads there."""
