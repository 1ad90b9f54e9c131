"""URIs -> what kind of place they name."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit


def local_path(uri: str) -> Path | None:
    """The path of a local URI (`/a/b`, `a/b`, `file:///a/b`), None for any other."""
    if uri.startswith("file://"):
        return Path(unquote(urlsplit(uri).path))
    return None if "://" in uri else Path(uri)
