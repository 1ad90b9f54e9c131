"""URI -> the kind of place that it names."""

from __future__ import annotations

from cardbeam.storage.filesystems.bucket_objects import BucketObjects
from cardbeam.storage.filesystems.local_files import LocalFiles
from cardbeam.storage.filesystems.other_files import OtherFiles
from cardbeam.storage.filesystems.protocol import FileSystem
from cardbeam.storage.filesystems.web_files import WebFiles
from cardbeam.storage.object_store import STORES

_LOCAL: FileSystem = LocalFiles()
_OTHER: FileSystem = OtherFiles()
_BY_SCHEME: dict[str, FileSystem] = {
    "file": _LOCAL,
    "http": WebFiles(),
    "https": WebFiles(),
    **dict.fromkeys(STORES, BucketObjects()),
}


def filesystem_for(uri: str) -> FileSystem:
    """By the scheme; a URI without one is a local path."""
    scheme, separator, _ = uri.partition("://")
    return _BY_SCHEME.get(scheme, _OTHER) if separator else _LOCAL
