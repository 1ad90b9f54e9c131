"""Answered ledger rows -> documents by type, hundreds of replies at a time, where these are in the usual form.

What it does not read is left to `parse_one_by_one`; what it reads is the same to the row.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from schemas.documents import DOCUMENTS
from schemas.reply_columns import Documents, Unusual, read_documents

_TOGETHER = 4096
"""Replies read at once: many enough that a column costs little, few enough that they fit a processor's cache."""
_RETRIED = 128
"""Where one of those is unusual, so many around it are read one by one."""
_TYPE = re.compile(rb'"type"\s*:\s*"(\w+)"')


def parse_together(bodies: Sequence[bytes], retried: int = _RETRIED) -> tuple[dict[str, list[Documents]], list[int]]:
    """Documents by type, and which of the replies are not among them, in order."""
    found: dict[str, list[Documents]] = defaultdict(list)
    left: list[int] = []
    for document_type, replies in _by_type(bodies).items():
        if document_type not in DOCUMENTS:
            left += replies
            continue
        for together in _cut(replies, _TOGETHER):
            found[document_type] += _read(bodies, together, document_type, retried, left)
    return found, sorted(left)


def _by_type(bodies: Sequence[bytes]) -> dict[str, list[int]]:
    """Replies by the one type that their documents seem to have, "" where that is none or several."""
    found: dict[str, list[int]] = defaultdict(list)
    for reply, body in enumerate(bodies):
        types = _TYPE.findall(body)
        is_one = len(types) == 1 or len(set(types)) == 1
        found[types[0].decode() if is_one else ""].append(reply)
    return found


def _cut(replies: list[int], count: int) -> Iterator[list[int]]:
    return (replies[start : start + count] for start in range(0, len(replies), count))


def _read(
    bodies: Sequence[bytes], replies: list[int], document_type: str, retried: int, left: list[int]
) -> Iterator[Documents]:
    """The documents of some replies; what is around an unusual one is left."""
    try:
        read = read_documents([bodies[reply] for reply in replies], document_type)
    except Unusual:
        if len(replies) <= retried:
            left += replies
            return
        for fewer in _cut(replies, retried):
            yield from _read(bodies, fewer, document_type, retried, left)
    else:
        yield Documents(np.array(replies)[read.replies], read.indexes, read.columns)
