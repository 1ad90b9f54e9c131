"""Ledger + journals -> what is settled already, by source and by content.

Ids are kept as sorted 128-bit numbers, 16 bytes each, so that a night's worker holds ten
million of them in 360 MB; ledger files are read by their key columns alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.elements import Settled, SettledAs
from transforms.journal import decode, frames
from transforms.layout import JOURNAL, LEDGER, run_id_of
from transforms.storage import Folder

_KEY_COLUMNS = ["item_id", "source_id", "outcome", "retriable"]
_Ids = npt.NDArray[np.uint64]


class Standing(IntEnum):
    """What is known of a request. Where records differ, the lowest holds."""

    ANSWERED_HERE = 0
    ANSWERED_BEFORE = 1
    DEAD_HERE = 2
    DEAD_BEFORE = 3
    NEW = 9

    @property
    def is_before(self) -> bool:
        """Whether an earlier run settled it."""
        return self in (Standing.ANSWERED_BEFORE, Standing.DEAD_BEFORE)


def _to_ids(hex_ids: pa.Array | pa.ChunkedArray) -> _Ids:
    """Hex ids without nulls -> two words each."""
    raw = bytes.fromhex("".join(hex_ids.to_pylist()))
    return np.frombuffer(raw, ">u8").astype(np.uint64).reshape(-1, 2)


def _from_id(words: _Ids) -> str:
    return f"{int(words[0]):016x}{int(words[1]):016x}"


@dataclass(frozen=True, slots=True)
class _Index:
    """Sorted unique ids, each with a number."""

    ids: _Ids
    numbers: npt.NDArray[np.int32]

    @classmethod
    def of(cls, ids: _Ids, numbers: npt.NDArray[np.int32], priority: npt.NDArray[np.int32]) -> _Index:
        """Sort, and of equal ids keep the one with the lowest priority."""
        order = np.lexsort((priority, ids[:, 1], ids[:, 0]))
        ids, numbers = ids[order], numbers[order]
        is_first = np.ones(len(ids), bool)
        is_first[1:] = np.any(ids[1:] != ids[:-1], axis=1)
        return cls(ids[is_first], numbers[is_first])

    def find(self, words: _Ids) -> npt.NDArray[np.int64]:
        """Positions of ids, -1 where they are not there."""
        at = np.searchsorted(self.ids[:, 0], words[:, 0])
        found = np.full(len(words), -1, np.int64)
        open_rows = np.arange(len(words))
        while len(open_rows):  # more than one turn only where the first words collide
            open_rows = open_rows[at[open_rows] < len(self.ids)]
            here = self.ids[at[open_rows]]
            is_same = here[:, 1] == words[open_rows, 1]
            in_reach = here[:, 0] == words[open_rows, 0]
            found[open_rows[in_reach & is_same]] = at[open_rows[in_reach & is_same]]
            open_rows = open_rows[in_reach & ~is_same]
            at[open_rows] += 1
        return found


class Answered:
    """Which requests are settled: asked by source id before a picture is opened, by item id after."""

    def __init__(self, keys: pa.Table) -> None:
        """Takes the key columns of all records, with `is_here`: whether this run wrote the record."""
        outcome, is_here = keys["outcome"], keys["is_here"]
        is_answered = pc.equal(outcome, SettledAs.ANSWERED.value)
        is_final = pc.or_(is_answered, pc.and_(pc.equal(outcome, SettledAs.DEAD.value), pc.invert(keys["retriable"])))
        standing = pc.add(pc.multiply(pc.invert(is_answered).cast(pa.int32()), 2), pc.invert(is_here).cast(pa.int32()))
        numbers = standing.to_numpy().astype(np.int32)[is_final.to_numpy()]
        self._items = _Index.of(_to_ids(keys["item_id"].filter(is_final)), numbers, numbers)

        sourced = keys.filter(pc.is_valid(keys["source_id"])).select(["source_id", "item_id"])
        items = self._items.find(_to_ids(sourced["item_id"]))
        ids, items = _to_ids(sourced["source_id"])[items >= 0], items[items >= 0].astype(np.int32)
        self._sources = _Index.of(ids, items, self._items.numbers[items])

    def of_item(self, item_id: str) -> Standing:
        """What is known by content."""
        (at,) = self._items.find(_words(item_id))
        return Standing.NEW if at < 0 else Standing(int(self._items.numbers[at]))

    def of_source(self, source_id: str | None) -> tuple[Standing, str]:
        """What is known without opening a picture, and the item id it is known under."""
        if source_id is None:
            return Standing.NEW, ""
        (at,) = self._sources.find(_words(source_id))
        if at < 0:
            return Standing.NEW, ""
        item = self._sources.numbers[at]
        return Standing(int(self._items.numbers[item])), _from_id(self._items.ids[item])


def _words(hex_id: str) -> _Ids:
    return np.array([[int(hex_id[:16], 16), int(hex_id[16:], 16)]], np.uint64)


def load_answered(folder: Folder, run_id: str) -> Answered:
    """Everything settled in the output folder, by any run."""
    tables = [*_ledger_keys(folder, run_id), _journal_keys(folder, run_id)]
    return Answered(pa.concat_tables(tables).combine_chunks())


def _ledger_keys(folder: Folder, run_id: str) -> Iterator[pa.Table]:
    for file in folder.list(LEDGER):
        if file.path.endswith(".parquet"):
            with folder.open(file.path) as opened:
                keys = pq.read_table(opened, columns=_KEY_COLUMNS)
            is_here = np.full(len(keys), run_id_of(file.path) == run_id)
            yield keys.append_column("is_here", pa.array(is_here))


def _journal_keys(folder: Folder, run_id: str) -> pa.Table:
    records = (
        (settled, run_id_of(file.path) == run_id)
        for file in folder.list(JOURNAL)
        for settled in read_segment(folder.read(file.path))
    )
    return key_table(records)


def read_segment(segment: bytes) -> Iterator[Settled]:
    """Every whole record of a segment."""
    return (decode(segment[start:end]) for start, end in frames(segment))


def key_table(records: Iterable[tuple[Settled, bool]]) -> pa.Table:
    """The key columns of records, each with whether this run wrote it."""
    rows = [(one.item_id, one.source_id, one.outcome, one.retriable, is_here) for one, is_here in records]
    columns = list(zip(*rows, strict=True)) or [[]] * 5
    types = [pa.string(), pa.string(), pa.string(), pa.bool_(), pa.bool_()]
    arrays = [pa.array(values, kind) for values, kind in zip(columns, types, strict=True)]
    return pa.table(arrays, names=[*_KEY_COLUMNS, "is_here"])
