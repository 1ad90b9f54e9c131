"""Answered ledger rows -> the same rows by the type of their documents, enough of one at a time.

To read responses of one type together costs as much for ten as for a hundred, and a few MB of a journal hold few of a
rare type. So these wait for more of theirs, while what is common goes on at once.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.documents import DOCUMENTS

ENOUGH_ROWS = 512
ENOUGH_BYTES = 1024 * 1024
"""What waits of a type at the most; half as many rows cost a fifth more CPU where twelve types take turns."""
_BATCH_ROWS = 128
"""Responses that are Python's bytes at the same time."""
_TYPE = re.compile(rb'"type"\s*:\s*"(\w+)"')
_TYPE_NAMES = {name.encode(): name for name in DOCUMENTS}
OTHER = ""
"""In place of a type: none, several, or one that the contract does not have."""


class ResponsesByType:
    """Takes rows in pieces, and gives those of a type when there are enough."""

    def __init__(self, enough_rows: int = ENOUGH_ROWS, enough_bytes: int = ENOUGH_BYTES) -> None:
        self._enough_rows, self._enough_bytes = enough_rows, enough_bytes
        self._waiting: dict[str, _Waiting] = defaultdict(_Waiting)

    def add(self, answered: pa.Table) -> Iterator[tuple[str, pa.Table]]:
        """Take some; the rows of each type of which there are enough by now, in the order in which they came."""
        for name, rows in by_type(answered["response"]).items():
            waiting = self._waiting[name]
            waiting.add(answered if len(rows) == len(answered) else answered.take(pa.array(rows)))
            if waiting.rows >= self._enough_rows or waiting.response_bytes >= self._enough_bytes:
                yield name, pa.concat_tables(self._waiting.pop(name).pieces)

    def rest(self) -> Iterator[tuple[str, pa.Table]]:
        """What waits; then nothing does."""
        while self._waiting:
            name, waiting = self._waiting.popitem()
            yield name, pa.concat_tables(waiting.pieces)


class _Waiting:
    """Rows of one type."""

    def __init__(self) -> None:
        self.pieces: list[pa.Table] = []
        self.rows = self.response_bytes = 0

    def add(self, piece: pa.Table) -> None:
        self.pieces.append(piece)
        self.rows += len(piece)
        self.response_bytes += piece["response"].nbytes


def by_type(responses: pa.ChunkedArray) -> dict[str, npt.NDArray[np.int64]]:
    """Rows of responses by the one type that their documents seem to have, or `OTHER`."""
    found: dict[str, list[int]] = defaultdict(list)
    for start in range(0, len(responses), _BATCH_ROWS):
        for row, body in enumerate(responses.slice(start, _BATCH_ROWS).to_pylist(), start):
            types = _TYPE.findall(body)
            is_one = len(types) == 1 or len(set(types)) == 1
            found[_TYPE_NAMES.get(types[0], OTHER) if is_one else OTHER].append(row)
    return {name: np.array(rows, np.int64) for name, rows in found.items()}
