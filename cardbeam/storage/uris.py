"""URIs -> what kind of place they name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?P<rest>/.*)", re.DOTALL)
"""RFC 3986, 3.1; one letter alone is no scheme here, for it may be a drive."""

_WEB = re.compile(
    r"(?P<scheme>https?://)(?:[^\s/?#@'\"<>]*@)?(?P<shown>[^\s?#'\"<>]*)(?P<hidden>[?#][^\s'\"<>]*)?", re.IGNORECASE
)


def normal_uri(uri: str) -> str:
    """A URI with its scheme as it is compared: in small letters, and `file:/a/b` as `file:///a/b` (RFC 8089)."""
    if (found := _SCHEME.fullmatch(uri)) is None:
        return uri
    scheme, rest = found["scheme"].lower(), found["rest"]
    if scheme == "file":
        return f"file://{rest.removeprefix('//')}"
    return f"{scheme}:{rest}" if rest.startswith("//") else uri


def redact(text: str) -> str:
    """A URI, or a text that holds some, for messages, logs and files about a run: web URIs without user, password,
    query and fragment, which may be a signature that opens what the URI names."""
    return _WEB.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    return f"{found['scheme']}{found['shown']}{'?…' if found['hidden'] else ''}"


def local_name(uri: str) -> str | None:
    """The path that a local URI names (`/a/b`, `a/b`, `file:///a/b`), None for any other; no URI names no file, ""."""
    if uri.startswith("file://"):
        try:
            return os.fsdecode(unquote_to_bytes(urlsplit(uri).path))
        except ValueError:  # a bracket without the other
            return ""
    return None if "://" in uri else uri


def local_path(uri: str) -> Path | None:
    """The same as a Path, which costs more than to read a small file: not for each image."""
    name = local_name(uri)
    return None if name is None else Path(name)


def uri_of_path(name: str) -> str:
    """A local path as it is; as a file URI where its bytes are no UTF-8, which no table could hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return Path(name).absolute().as_uri()
    return name
