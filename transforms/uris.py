"""URIs -> what kind of place they name."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit


def local_path(uri: str) -> Path | None:
    """The path of a local URI (`/a/b`, `a/b`, `file:///a/b`), None for any other."""
    if uri.startswith("file://"):
        return Path(os.fsdecode(unquote_to_bytes(urlsplit(uri).path)))
    return None if "://" in uri else Path(uri)


def uri_of_path(name: str) -> str:
    """A local path as it is; as a file URI where its bytes are no UTF-8, which no table could hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return Path(name).absolute().as_uri()
    return name
