"""Texts in files, whatever these are packed in: Parquet, Avro, zstd, gzip, JSON escapes, base64."""

from __future__ import annotations

import base64
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def files_with(root: Path, texts: Iterable[str]) -> dict[str, set[str]]:
    """The files under a folder that hold any of some texts, and which."""
    wanted = {text: _forms(text) for text in texts}
    found: dict[str, set[str]] = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        unpacked = b"\0".join(_unpacked(path.read_bytes()))
        held = {text for text, forms in wanted.items() if any(form in unpacked for form in forms)}
        if held:
            found[str(path.relative_to(root))] = held
    return found


def _forms(text: str) -> set[bytes]:
    """A text as it may be written: as it is, escaped, or in base64 at any of its three places."""
    raw = text.encode()
    packed = {base64.b64encode(b"\0" * shift + raw)[shift + bool(shift) : -4] for shift in range(3)}
    return {raw, json.dumps(text)[1:-1].encode(), *(one for one in packed if len(one) > 7)}


def _unpacked(content: bytes) -> Iterator[bytes]:
    """A file's bytes, and those that are packed in them."""
    yield content
    if content[:4] == b"PAR1":
        yield from _columns(pq.read_table(io.BytesIO(content)))
    elif content[:4] == b"Obj\x01":
        yield from _avro_blocks(content)
    elif content[:2] == b"\x1f\x8b":
        yield from _unpacked(gzip.decompress(content))
    elif content[:4] == b"\x28\xb5\x2f\xfd":
        yield from _unpacked(pa.input_stream(io.BytesIO(content), compression="zstd").read())


def _columns(table: pa.Table) -> Iterator[bytes]:
    for column in table.columns:
        yield from map(str.encode, map(str, column.to_pylist()))
        if pa.types.is_binary(column.type):
            yield from (value for value in column.to_pylist() if value)


def _avro_blocks(content: bytes) -> Iterator[bytes]:
    """Blocks of an Avro file, which raw deflate packs: each byte may begin one."""
    for at in range(len(content)):
        unpacker = zlib.decompressobj(-15)
        try:
            unpacked = unpacker.decompress(content[at:])
        except zlib.error:
            continue
        if unpacker.eof and len(unpacked) > 16:
            yield unpacked
