"""Objects of S3, Google Cloud Storage and Azure Blob Storage."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import IO

from cardbeam.model.request import ImageRef
from cardbeam.storage.filesystems.protocol import ImageContent, NotListed
from cardbeam.storage.globs import is_glob, parse_glob
from cardbeam.storage.object_store import Listed, object_at
from cardbeam.storage.parallel_listing import list_in_parallel
from cardbeam.storage.presign import presign
from cardbeam.storage.range_reader import open_object

LIFETIME = timedelta(hours=12)
"""Longer than a request waits for the quota and is tried again. S3 and Google allow 7 days; temporary
credentials end the life of a URL with their own."""


def as_image_ref(listed: Listed) -> ImageRef:
    """What a listing tells, as an image."""
    return ImageRef(listed.uri, listed.size_bytes, listed.version, listed.modified_s)


class BucketObjects:
    """What buckets hold; a version is an etag."""

    is_local = False
    has_credentials = True

    def stat(self, uri: str) -> ImageRef:
        """By one HEAD."""
        return as_image_ref(object_at(uri).head())

    def list(self, pattern: str) -> Iterator[ImageRef]:
        """In several listings side by side."""
        try:
            yield from map(as_image_ref, _listed(pattern))
        except OSError as error:
            raise NotListed(str(error)) from error

    def read(self, uri: str, max_bytes: int) -> ImageContent:
        """By one GET, which tells the version."""
        content, listed = object_at(uri).read_version(max_bytes)
        return ImageContent(content, as_image_ref(listed))

    def open(self, uri: str) -> IO[bytes]:
        """Read by ranges."""
        return open_object(object_at(uri))

    def url(self, uri: str) -> str | None:
        """Presigned: it opens the object to whoever has it, so it goes into the request and nowhere else."""
        return presign(object_at(uri), LIFETIME)


def _listed(pattern: str) -> Iterator[Listed]:
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
