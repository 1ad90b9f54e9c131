"""Responses of one type -> their documents, hundreds of responses at a time, where these are in the usual form.

What it does not read is left to `parse_single`; what it reads is the same to the row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from schemas.response_batch import Documents, NeedsSlowPath, read_documents

_BATCH_ROWS = 640
"""Responses read at once: many enough that a column costs little, few enough that what the reader holds is small."""
_RETRIED = 128
"""Where one of those is unusual, so many around it are read one by one."""


def parse_batch(
    responses: pa.ChunkedArray, document_type: str, retried: int = _RETRIED
) -> tuple[list[Documents], list[int]]:
    """The documents of responses that seem to hold no other type, and which of the responses are not among them, in
    order.

    Raises:
        KeyError: the contract has no such type.
    """
    left: list[int] = []
    found = [
        documents
        for rows in _cut(range(len(responses)), _BATCH_ROWS)
        for documents in _read(responses, rows, document_type, retried, left)
    ]
    return found, left


def _cut(rows: range, count: int) -> Iterator[range]:
    return (rows[start : start + count] for start in range(0, len(rows), count))


def _read(
    responses: pa.ChunkedArray, rows: range, document_type: str, retried: int, left: list[int]
) -> Iterator[Documents]:
    """The documents of some responses; what is around an unusual one is left."""
    try:
        read = read_documents(responses.slice(rows.start, len(rows)), document_type)
    except NeedsSlowPath:
        if len(rows) <= retried:
            left += rows
            return
        for fewer in _cut(rows, retried):
            yield from _read(responses, fewer, document_type, retried, left)
    else:
        yield replace(read, responses=read.responses + rows.start)
