"""Tables that are sorted by key -> their rows in the order of keys, a few thousand at a time.

Of equal keys the rows of an earlier table come first. Nothing but a batch of each table is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from cardbeam.index.on_disk.stored_rows import KEY


class _Reader:
    """One sorted table: the batch that comes next."""

    def __init__(self, batches: Iterator[pa.Table]) -> None:
        self._batches = batches
        self.waiting: pa.Table | None = None
        self.is_exhausted = False
        self.extend()

    def extend(self) -> None:
        """Have one more batch wait."""
        while (batch := next(self._batches, None)) is not None and not len(batch):
            pass
        self.is_exhausted = batch is None
        if batch is not None:
            self.waiting = batch if self.waiting is None else pa.concat_tables([self.waiting, batch])

    @property
    def last_key(self) -> str:
        """Of what waits, if anything does; nothing that comes is lower."""
        last: str = "" if self.waiting is None else self.waiting[KEY][-1].as_py()
        return last

    def take_below(self, bound: str | None) -> Iterator[pa.Table]:
        """What waits and is below a key; all, without one."""
        if self.waiting is None:
            return
        count = len(self.waiting) if bound is None else _count_below(self.waiting[KEY], bound)
        if count:
            yield self.waiting.slice(0, count)
        self.waiting = self.waiting.slice(count) if count < len(self.waiting) else None
        if self.waiting is None and not self.is_exhausted:
            self.extend()


def merged(tables: Sequence[Iterator[pa.Table]]) -> Iterator[pa.Table]:
    """The rows of all tables in the order of keys; each table comes in batches that are sorted."""
    readers = [_Reader(batches) for batches in tables]
    while any(one.waiting is not None for one in readers):
        going = [one for one in readers if one.waiting is not None and not one.is_exhausted]
        slowest = min(going, key=lambda one: one.last_key, default=None)
        bound = None if slowest is None else slowest.last_key
        taken = [piece for one in readers for piece in one.take_below(bound)]
        if taken:
            yield sorted_by_key(pa.concat_tables(taken)) if len(taken) > 1 else taken[0]
        elif slowest is not None:  # all that waits has this key: rows of it may still come
            slowest.extend()


def sorted_by_key(rows: pa.Table) -> pa.Table:
    """Rows in the order of their keys; those of one key stay in their order."""
    return rows.take(pc.sort_indices(rows, sort_keys=[(KEY, "ascending")]))


def _count_below(keys: pa.ChunkedArray, bound: str) -> int:
    return int(pc.sum(pc.less(keys, bound), min_count=0).as_py())
