"""Texts that must not be found, looked for in bytes through compression, archives and base64."""

from __future__ import annotations

import base64
import binascii
import bz2
import gzip
import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_BASE64 = re.compile(rb"[A-Za-z0-9+/]{40,}={0,2}")
_DEPTH = 4
_UNPACKERS: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
    (b"BZh", bz2.decompress),
    (b"\x1f\x8b", gzip.decompress),
    (b"\x78", zlib.decompress),
)


def layers(content: bytes, depth: int = _DEPTH) -> Iterator[bytes]:
    """The bytes themselves, and all that is packed inside them."""
    yield content
    if not depth:
        return
    for inner in _unpacked(content):
        yield from layers(inner, depth - 1)


def _unpacked(content: bytes) -> Iterator[bytes]:
    for magic, unpack in _UNPACKERS:
        if content.startswith(magic):
            try:
                yield unpack(content)
            except (OSError, ValueError, EOFError, zlib.error):
                continue
    if content.startswith(b"PK") and zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    if content[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            yield from (member.read() for one in tar if (member := tar.extractfile(one)) is not None)
    for found in _BASE64.finditer(content):
        text = found[0][: len(found[0]) // 4 * 4]
        try:
            yield base64.b64decode(text)
        except binascii.Error:
            continue


def leaks(places: Iterable[tuple[str, bytes]], planted: Iterable[str]) -> list[str]:
    """Where a planted text stands, in UTF-8, UTF-16 or escaped as JSON does; named by place, without the text."""
    needles = [
        form
        for text in planted
        for form in {text.encode(), text.encode("utf-16-le"), text.encode("ascii", "backslashreplace")}
    ]
    return sorted({name for name, content in places for layer in layers(content) if any(n in layer for n in needles)})


def files(*folders: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below some folders that can be read, but jars, which are code that was there before.

    What goes away meanwhile is passed over.
    """
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            with suppress(OSError):
                if path.is_file() and not path.is_symlink() and not _is_jar(path):
                    yield str(path), path.read_bytes()


def _is_jar(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "META-INF/MANIFEST.MF" in archive.NameToInfo
