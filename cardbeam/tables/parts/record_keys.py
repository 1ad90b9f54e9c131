"""What tells records of a run from each other, as numbers: 41 bytes a record, for there are millions.

Ids are random, so records that share none with another can be told by their first words alone; only
the few others need to be compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cardbeam.index.id_array import Ids, Index, first_of_each, to_ids
from cardbeam.model.record import RecordStatus

SUCCEEDED, FAILED, DUPLICATE, RETRY, DEFERRED, ERASED, FORGOTTEN = range(7)
"""Ranks: the lowest of a request's records is the one that tables show; from `DUPLICATE` on they show none."""
_RANKED = [
    one.value
    for one in (
        RecordStatus.SUCCEEDED,
        RecordStatus.FAILED,
        RecordStatus.DUPLICATE,
        RecordStatus.RETRY,
        RecordStatus.DEFERRED,
        RecordStatus.ERASED,
        RecordStatus.FORGOTTEN,
    )
]
_UNKNOWN = "f" * 32
"""Stands for no source id."""
Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Keys:
    """Some records, as columns."""

    items: Ids
    sources: Ids
    ranks: npt.NDArray[np.int8]
    completed_at: npt.NDArray[np.int64]

    @classmethod
    def of(cls, item_ids: pa.Array, source_ids: pa.Array, outcomes: pa.Array, completed_at: pa.Array) -> Keys:
        """The records of some rows of the ledger."""
        sources = to_ids(pc.fill_null(source_ids, _UNKNOWN))
        ranks = pc.index_in(outcomes, pa.array(_RANKED)).to_numpy().astype(np.int8)
        return cls(to_ids(item_ids), sources, ranks, completed_at.cast(pa.int64()).to_numpy())

    @classmethod
    def joined(cls, keys: Iterable[Keys]) -> Keys:
        """The records of all, in order; there is at least one."""
        return cls(*map(np.concatenate, zip(*map(astuple, keys), strict=True)))

    def __len__(self) -> int:
        return len(self.ranks)

    def take(self, rows: Rows | Mask) -> Keys:
        """Some of them."""
        return Keys(self.items[rows], self.sources[rows], self.ranks[rows], self.completed_at[rows])

    @property
    def has_source(self) -> Mask:
        """Whether the source was known."""
        known: Mask = np.any(self.sources != to_ids([_UNKNOWN]), axis=1)
        return known

    def digest(self) -> str:
        """The same for the same records only."""
        hasher = hashlib.sha256()
        for column in (self.items, self.sources, self.ranks, self.completed_at):
            hasher.update(np.ascontiguousarray(column).data)
        return hasher.hexdigest()

    def repeated(self) -> Mask:
        """Records that are an earlier one again: a journal read after its ledger was written."""
        columns = (self.completed_at, self.ranks, *self.sources.T, *self.items.T)
        order = np.lexsort(columns)
        is_repeated = np.zeros(len(self), bool)
        is_repeated[order[1:]] = np.logical_and.reduce([column[order[1:]] == column[order[:-1]] for column in columns])
        return is_repeated

    def canonical_rows(self) -> Rows:
        """The record of each request that the tables show, or of a copy where there is no other."""
        age = np.where(self.ranks == FAILED, -self.completed_at, self.completed_at)
        return first_of_each(self.items, self.ranks, age, np.arange(len(self)))

    def resolved_failures(self) -> Mask:
        """failures of images that were processed after all.

        What could not be read has its item id from its source, and another one, from its content, once it is read. So
        the source alone tells that both records are of one image. A duplicate of what failed processes nothing.
        """
        is_failure = self.ranks == FAILED
        failed = Index.of(self.items[is_failure], *[np.zeros(np.count_nonzero(is_failure), np.int64)] * 2)
        is_of_other = (self.ranks == DUPLICATE) & (failed.find(self.items) < 0)
        processed = self.sources[((self.ranks == SUCCEEDED) | is_of_other) & self.has_source]
        index = Index.of(processed, *[np.zeros(len(processed), np.int64)] * 2)
        was_processed: Mask = is_failure & (index.find(self.sources) >= 0)
        return was_processed


def shared_with_others(keys: Sequence[Keys]) -> list[Rows]:
    """Of each, the records that may share a request or a source with another, of the same or of any other."""
    items = _met_twice([one.items[:, 0] for one in keys])
    sources = _met_twice([one.sources[one.has_source, 0] for one in keys])
    return [
        np.flatnonzero(np.isin(one.items[:, 0], items) | (np.isin(one.sources[:, 0], sources) & one.has_source))
        for one in keys
    ]


def _met_twice(words: list[npt.NDArray[np.uint64]]) -> npt.NDArray[np.uint64]:
    ordered = np.concatenate(words)
    ordered.sort()
    again: npt.NDArray[np.uint64] = ordered[1:][ordered[1:] == ordered[:-1]]
    return again
