"""Hex ids as numbers: 128 bits in two words, sorted, found by bisection, 16 bytes each."""

from __future__ import annotations

import math
import mmap
from binascii import unhexlify
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ids = npt.NDArray[np.uint64]
"""Shape (n, 2): high and low word of each id."""

_HEX_DIGITS = 32
_OWN_PAGES_BYTES = 128 * 1024

Numbers = npt.NDArray[np.int64]


def to_ids(hex_ids: pa.Array | pa.ChunkedArray | list[str]) -> Ids:
    """Hex ids, none of them null, as words."""
    texts = pa.array(hex_ids, pa.string()) if isinstance(hex_ids, list) else hex_ids
    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    words = [np.frombuffer(unhexlify(_characters(chunk)), ">u8") for chunk in chunks]
    return np.concatenate([np.empty(0, np.uint64), *words]).astype(np.uint64).reshape(-1, 2)


def _characters(hex_ids: pa.Array) -> memoryview:
    wide = hex_ids.cast(pa.binary()).cast(pa.binary(_HEX_DIGITS))
    return memoryview(wide.buffers()[1])[wide.offset * _HEX_DIGITS : (wide.offset + len(wide)) * _HEX_DIGITS]


def to_hex(words: Ids) -> str:
    """One row of words as its id."""
    return f"{int(words[0]):016x}{int(words[1]):016x}"


def first_of_each(ids: Ids, *preference: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    """For each different id, in order, the row that is lowest by the preferences, the first weighing most."""
    order = np.lexsort((*reversed(preference), ids[:, 1], ids[:, 0]))
    ordered = ids[order]
    is_first = np.ones(len(ids), bool)
    is_first[1:] = np.any(ordered[1:] != ordered[:-1], axis=1)
    return order[is_first]


def mmap_array(rows: int, like: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An array for so many rows like those of another, which goes back to the system as soon as it is not needed.

    Arrays that grow a little at a time would leave holes in the heap, as large together as themselves.
    """
    size_bytes = rows * like.dtype.itemsize * math.prod(like.shape[1:])
    memory: Any = (
        mmap.mmap(-1, size_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if size_bytes >= _OWN_PAGES_BYTES
        else bytearray(size_bytes)
    )
    return np.frombuffer(memory, like.dtype).reshape(rows, *like.shape[1:])


def _inserted(array: npt.NDArray[Any], places: npt.NDArray[np.int64], more: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The rows of an array and more, which are at these places then."""
    inserted = mmap_array(len(array) + len(more), array)
    is_old = np.ones(len(inserted), bool)
    is_old[places] = False
    inserted[is_old], inserted[places] = array, more
    return inserted


@dataclass(frozen=True, slots=True)
class IdSet:
    """Different ids by their high words, 8 bytes each: of ten million, two share one with a chance of 1 in 300,000."""

    highs: npt.NDArray[np.uint64]

    @classmethod
    def empty(cls) -> IdSet:
        """No ids."""
        return cls(np.empty(0, np.uint64))

    def merged(self, ids: Ids) -> IdSet:
        """These ids and more."""
        more = np.unique(ids[:, 0])
        if not len(more):
            return self
        more = more[~self._has(more)]
        places = np.searchsorted(self.highs, more) + np.arange(len(more))
        return IdSet(_inserted(self.highs, places, more))

    def has_one(self, hex_id: str) -> bool:
        """Whether an id is among them."""
        high, highs = int(hex_id[:16], 16), self.highs.data
        at = bisect_left(highs, high)
        return at < len(highs) and highs[at] == high

    def are_in(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """A mask of those ids that are among them."""
        return self._has(ids[:, 0])

    def has_any(self, ids: Ids) -> bool:
        """Whether any of some ids is among them."""
        return bool(self.are_in(ids).any())

    def _has(self, words: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        if not len(self.highs):
            return np.zeros(len(words), bool)
        at = np.minimum(np.searchsorted(self.highs, words), len(self.highs) - 1)
        is_here: npt.NDArray[np.bool_] = self.highs[at] == words
        return is_here


@dataclass(frozen=True, slots=True)
class Index:
    """Different ids in the order of their high words, each with a number."""

    ids: Ids
    numbers: Numbers

    @classmethod
    def of(cls, ids: Ids, numbers: Numbers, preference: Numbers) -> Index:
        """Sort, and of equal ids keep the one that is preferred."""
        rows = first_of_each(ids, preference)
        return cls(ids[rows], numbers[rows])

    @classmethod
    def empty(cls) -> Index:
        """No ids."""
        return cls(np.empty((0, 2), np.uint64), np.empty(0, np.int64))

    def merged(self, ids: Ids, numbers: Numbers, *, is_higher_better: bool = False) -> Index:
        """These ids and more; of equal ids the lower number is kept, or the higher.

        What is here is not sorted again: that would take four times its room.
        """
        more = Index.of(ids, numbers, -numbers if is_higher_better else numbers)
        if not len(self.ids):
            return more
        at = self.find(more.ids)
        is_new, known = at < 0, at[at >= 0]
        kept = self.numbers.copy()
        kept[known] = (np.maximum if is_higher_better else np.minimum)(kept[known], more.numbers[~is_new])
        places = np.searchsorted(self.ids[:, 0], more.ids[is_new, 0]) + np.arange(np.count_nonzero(is_new))
        return Index(_inserted(self.ids, places, more.ids[is_new]), _inserted(kept, places, more.numbers[is_new]))

    def find_one(self, hex_id: str) -> int:
        """Position of one id, -1 where it is not there: the cheap form for one at a time."""
        high, low = int(hex_id[:16], 16), int(hex_id[16:], 16)
        highs, lows = self.ids[:, 0].data, self.ids[:, 1].data
        at = bisect_left(highs, high)
        while at < len(highs) and highs[at] == high:
            if lows[at] == low:
                return at
            at += 1
        return -1

    def last_with_high(self, high_digits: str) -> str:
        """Of the ids with that high word the one with the highest number; empty where there is none."""
        high, highs = int(high_digits, 16), self.ids[:, 0].data
        first = bisect_left(highs, high)
        end = first
        while end < len(highs) and highs[end] == high:
            end += 1
        return "" if end == first else to_hex(self.ids[first + int(np.argmax(self.numbers[first:end]))])

    def find(self, ids: Ids) -> npt.NDArray[np.int64]:
        """Positions of ids, -1 where they are not there."""
        at = np.searchsorted(self.ids[:, 0], ids[:, 0])
        found = np.full(len(ids), -1, np.int64)
        rows = np.arange(len(ids))
        while len(rows):  # more than one turn only where high words are equal
            rows = rows[at[rows] < len(self.ids)]
            here = self.ids[at[rows]]
            in_reach = here[:, 0] == ids[rows, 0]
            is_found = in_reach & (here[:, 1] == ids[rows, 1])
            found[rows[is_found]] = at[rows[is_found]]
            rows = rows[in_reach & ~is_found]
            at[rows] += 1
        return found
