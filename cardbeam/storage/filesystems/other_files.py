"""Files of any other scheme: read by smart-open, listed by what the process was given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, cast

import smart_open

from cardbeam.model.request import ImageRef
from cardbeam.storage.filesystems.protocol import ImageContent, NotListed

Lister = Callable[[str], Iterator[ImageRef]]


def _unknown_scheme(pattern: str) -> Iterator[ImageRef]:
    raise NotListed("unknown scheme")


_lister: Lister = _unknown_scheme


def list_with(lister: Lister) -> None:
    """Have patterns of these schemes listed by `lister`, in this process."""
    global _lister  # noqa: PLW0603  # one for each process, set before anything is listed
    _lister = lister


class OtherFiles:
    """Whatever smart-open can read; nothing tells a version."""

    is_local = has_credentials = False

    def stat(self, uri: str) -> ImageRef:
        """Nothing is known without reading it."""
        return ImageRef(uri)

    def list(self, pattern: str) -> Iterator[ImageRef]:
        """By what `list_with` was given."""
        return _lister(pattern)

    def read(self, uri: str, max_bytes: int) -> ImageContent:
        """The first bytes; of no known version."""
        with self.open(uri) as file:
            return ImageContent(file.read(max_bytes), ImageRef(uri))

    def open(self, uri: str) -> IO[bytes]:
        """By smart-open."""
        return cast("IO[bytes]", smart_open.open(uri, "rb", compression="disable"))

    def url(self, uri: str) -> str | None:
        """No URL leads there."""
        return None
