"""URI -> a URL that the endpoint can fetch by itself.

A presigned URL opens the picture to whoever has it: it goes into the request and nowhere else.
"""

from __future__ import annotations

from datetime import timedelta

from transforms.buckets import is_in_bucket, object_at
from transforms.web import is_web

LIFETIME = timedelta(hours=12)
"""Longer than a request waits for the quota and is tried again. S3 and Google allow 7 days; temporary
credentials end the life of a URL with their own."""


def fetchable_url(uri: str) -> str | None:
    """https URIs as they are, bucket URIs presigned; None where no URL leads there.

    Raises:
        PermissionError: our credentials cannot sign.
        OSError: the store cannot be asked to.
    """
    if is_web(uri):
        return uri
    return object_at(uri).presign(LIFETIME) if is_in_bucket(uri) else None
