"""Replies of one type -> their documents, hundreds of replies at a time, where these are in the usual form.

What it does not read is left to `parse_one_by_one`; what it reads is the same to the row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from schemas.response_batch import Documents, Unusual, read_documents

_TOGETHER = 640
"""Replies read at once: many enough that a column costs little, few enough that what the reader holds is small."""
_RETRIED = 128
"""Where one of those is unusual, so many around it are read one by one."""


def parse_together(
    replies: pa.ChunkedArray, document_type: str, retried: int = _RETRIED
) -> tuple[list[Documents], list[int]]:
    """The documents of replies that seem to hold no other type, and which of the replies are not among them, in order.

    Raises:
        KeyError: the contract has no such type.
    """
    left: list[int] = []
    found = [
        documents
        for rows in _cut(range(len(replies)), _TOGETHER)
        for documents in _read(replies, rows, document_type, retried, left)
    ]
    return found, left


def _cut(rows: range, count: int) -> Iterator[range]:
    return (rows[start : start + count] for start in range(0, len(rows), count))


def _read(
    replies: pa.ChunkedArray, rows: range, document_type: str, retried: int, left: list[int]
) -> Iterator[Documents]:
    """The documents of some replies; what is around an unusual one is left."""
    try:
        read = read_documents(replies.slice(rows.start, len(rows)), document_type)
    except Unusual:
        if len(rows) <= retried:
            left += rows
            return
        for fewer in _cut(rows, retried):
            yield from _read(replies, fewer, document_type, retried, left)
    else:
        yield replace(read, replies=read.replies + rows.start)
