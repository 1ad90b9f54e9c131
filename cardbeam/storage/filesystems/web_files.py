"""Files behind http(s) URIs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from cardbeam.model.request import ImageRef
from cardbeam.storage.filesystems.protocol import ImageContent, NotListed
from cardbeam.storage.web import describe_web, open_web, read_web


class WebFiles:
    """What web servers give; `cardbeam.storage.web` says how it is asked for."""

    is_local = has_credentials = False

    def stat(self, uri: str) -> ImageRef:
        """Without a version where the server tells none, or does not answer."""
        return describe_web(uri)

    def list(self, pattern: str) -> Iterator[ImageRef]:
        """A web server lists nothing."""
        raise NotListed("a web server lists nothing; name its images in a manifest")

    def read(self, uri: str, max_bytes: int) -> ImageContent:
        """As `read_web`, which raises `HttpSourceError`."""
        return ImageContent(*read_web(uri, max_bytes))

    def open(self, uri: str) -> IO[bytes]:
        """As `open_web`: fetched whole first."""
        return open_web(uri)

    def url(self, uri: str) -> str | None:
        """The URI itself."""
        return uri
