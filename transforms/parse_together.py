"""Answered ledger rows -> documents by type, hundreds of replies at a time, where these are in the usual form.

What it does not read is left to `parse_one_by_one`; what it reads is the same to the row.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.documents import DOCUMENTS
from schemas.reply_columns import Documents, Unusual, read_documents

_TOGETHER = 1024
"""Replies read at once: many enough that a column costs little, few enough that what the reader holds is small."""
_RETRIED = 128
"""Where one of those is unusual, so many around it are read one by one."""
_TYPE = re.compile(rb'"type"\s*:\s*"(\w+)"')
_Rows = npt.NDArray[np.int64]


def parse_together(replies: pa.ChunkedArray, retried: int = _RETRIED) -> tuple[dict[str, list[Documents]], list[int]]:
    """Documents by type, and which of the replies are not among them, in order."""
    found: dict[str, list[Documents]] = defaultdict(list)
    left: list[int] = []
    for document_type, rows in _by_type(replies).items():
        if document_type not in DOCUMENTS:
            left += rows.tolist()
            continue
        for together in _cut(rows, _TOGETHER):
            found[document_type] += _read(replies, together, document_type, retried, left)
    return found, sorted(left)


def bodies_of(replies: pa.ChunkedArray, rows: _Rows) -> list[bytes]:
    """Some of the replies, by rows in order. All of them as Python's bytes would be a copy of a whole part."""
    taken: list[bytes] = []
    start = 0
    for chunk in replies.chunks:
        first, last = np.searchsorted(rows, (start, start + len(chunk)))
        if first < last:
            taken += chunk.take(pa.array(rows[first:last] - start)).to_pylist()
        start += len(chunk)
    return taken


def _by_type(replies: pa.ChunkedArray) -> dict[str, _Rows]:
    """Replies by the one type that their documents seem to have, "" where that is none or several."""
    found: dict[str, list[int]] = defaultdict(list)
    for start in range(0, len(replies), _TOGETHER):
        for row, body in enumerate(replies.slice(start, _TOGETHER).to_pylist(), start):
            types = _TYPE.findall(body)
            is_one = len(types) == 1 or len(set(types)) == 1
            found[types[0].decode() if is_one else ""].append(row)
    return {name: np.array(rows, np.int64) for name, rows in found.items()}


def _cut(rows: _Rows, count: int) -> Iterator[_Rows]:
    return (rows[start : start + count] for start in range(0, len(rows), count))


def _read(
    replies: pa.ChunkedArray, rows: _Rows, document_type: str, retried: int, left: list[int]
) -> Iterator[Documents]:
    """The documents of some replies; what is around an unusual one is left."""
    try:
        read = read_documents(bodies_of(replies, rows), document_type)
    except Unusual:
        if len(rows) <= retried:
            left += rows.tolist()
            return
        for fewer in _cut(rows, retried):
            yield from _read(replies, fewer, document_type, retried, left)
    else:
        yield Documents(rows[read.replies], read.indexes, read.columns)
