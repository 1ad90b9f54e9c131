"""URIs -> what kind of place they name."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit


def local_name(uri: str) -> str | None:
    """The path that a local URI names (`/a/b`, `a/b`, `file:///a/b`), None for any other; no URI names no file, ""."""
    if uri.startswith("file://"):
        try:
            return os.fsdecode(unquote_to_bytes(urlsplit(uri).path))
        except ValueError:  # a bracket without the other
            return ""
    return None if "://" in uri else uri


def local_path(uri: str) -> Path | None:
    """The same as a Path, which costs more than to read a small file: not for each picture."""
    name = local_name(uri)
    return None if name is None else Path(name)


def uri_of_path(name: str) -> str:
    """A local path as it is; as a file URI where its bytes are no UTF-8, which no table could hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return Path(name).absolute().as_uri()
    return name
