"""Content-Encoding -> the bytes that were encoded, never more of them than asked for."""

from __future__ import annotations

import zlib

from cardbeam.errors import CardbeamError

ACCEPTED = "gzip, deflate"
"""What a request may ask for: nothing else is decoded."""
_MAX_CODINGS = 5
_GZIP_BITS = 16 + zlib.MAX_WBITS
_WINDOW_BITS = {"gzip": _GZIP_BITS, "x-gzip": _GZIP_BITS, "deflate": zlib.MAX_WBITS}
_NOT_DECODED = frozenset({"br", "zstd", "compress", "x-compress"})


class WrongEncoding(CardbeamError):
    """Bytes that are not encoded as their header says, or in a way that is not known here."""


def decode(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """The first `max_bytes` of what a body of this Content-Encoding holds.

    Raises:
        WrongEncoding: it is encoded otherwise, or cut off.
    """
    for name in reversed(codings(encoding)):
        body = _inflate(body, _WINDOW_BITS[name], max_bytes)
    return body


def codings(encoding: str) -> list[str]:
    """How a body of this Content-Encoding is encoded, in order. Words that name no coding, a charset for instance, are
    none: servers write such.

    Raises:
        WrongEncoding: in a way that is not known here.
    """
    names = [name.strip().lower() for name in encoding.split(",")]
    if not _NOT_DECODED.isdisjoint(names):
        raise WrongEncoding("a coding that was not asked for")
    known = [name for name in names if name in _WINDOW_BITS]
    if len(known) > _MAX_CODINGS:
        raise WrongEncoding("more codings than anybody uses")
    return known


def _inflate(body: bytes, window_bits: int, max_bytes: int) -> bytes:
    try:
        return _inflate_all(body, window_bits, max_bytes)
    except zlib.error as error:
        if window_bits != zlib.MAX_WBITS:
            raise WrongEncoding(str(error)) from error
    return _inflate(body, -zlib.MAX_WBITS, max_bytes)  # deflate without its wrapping, as some servers write it


def _inflate_all(body: bytes, window_bits: int, max_bytes: int) -> bytes:
    """One stream, or several of gzip behind each other; zeros behind the last are padding."""
    content, rest = bytearray(), body
    while True:
        stream = zlib.decompressobj(window_bits)
        content += stream.decompress(rest, max_bytes - len(content))
        if len(content) >= max_bytes:
            return bytes(content)
        if not stream.eof:
            raise WrongEncoding("cut off")
        rest = stream.unused_data.lstrip(b"\0") if window_bits == _GZIP_BITS else b""
        if not rest:
            return bytes(content)
