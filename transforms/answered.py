"""Ledger + journals -> what is settled already, by source and by content.

Ledger files are read by their key columns alone, and an id takes 16 bytes, so that one
worker holds ten million settled pictures in some 400 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.elements import Settled, SettledAs
from transforms.ids import Index, to_hex, to_id, to_ids
from transforms.journal import read_segment
from transforms.layout import JOURNAL, LEDGER, run_id_of
from transforms.storage import Folder

_KEYS = pa.schema(
    [
        ("item_id", pa.string()),
        ("source_id", pa.string()),
        ("outcome", pa.string()),
        ("retriable", pa.bool_()),
        ("is_here", pa.bool_()),
    ]
)


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


class Answered:
    """Which requests are settled: asked by source id before a picture is opened, by item id after."""

    def __init__(self, keys: pa.Table) -> None:
        """Takes the key columns of all records, `is_here` where this run wrote the record."""
        is_answered = pc.equal(keys["outcome"], SettledAs.ANSWERED.value)
        is_dead = pc.and_(pc.equal(keys["outcome"], SettledAs.DEAD.value), pc.invert(keys["retriable"]))
        final = keys.append_column("is_answered", is_answered).filter(pc.or_(is_answered, is_dead))
        standings = np.where(final["is_answered"], Standing.ANSWERED_HERE, Standing.DEAD_HERE).astype(np.int32)
        standings += np.where(final["is_here"], 0, 1).astype(np.int32)
        self._items = Index.of(to_ids(final["item_id"]), standings, standings)

        sourced = keys.filter(pc.is_valid(keys["source_id"]))
        items = self._items.find(to_ids(sourced["item_id"])).astype(np.int32)
        source_ids, items = to_ids(sourced["source_id"])[items >= 0], items[items >= 0]
        self._sources = Index.of(source_ids, items, self._items.numbers[items])

    def of_item(self, item_id: str) -> Standing:
        """What is known by content."""
        (at,) = self._items.find(to_id(item_id))
        return Standing.NEW if at < 0 else Standing(int(self._items.numbers[at]))

    def of_source(self, source_id: str | None) -> tuple[Standing, str]:
        """What is known without opening a picture, and the item id it is known under."""
        if source_id is None:
            return Standing.NEW, ""
        (at,) = self._sources.find(to_id(source_id))
        if at < 0:
            return Standing.NEW, ""
        item = self._sources.numbers[at]
        return Standing(int(self._items.numbers[item])), to_hex(self._items.ids[item])


def load_answered(folder: Folder, run_id: str) -> Answered:
    """Everything settled in the output folder, by any run."""
    tables = [_KEYS.empty_table(), *_ledger_keys(folder, run_id), _journal_keys(folder, run_id)]
    return Answered(pa.concat_tables(tables).combine_chunks())


def _ledger_keys(folder: Folder, run_id: str) -> Iterator[pa.Table]:
    for file in folder.list(LEDGER):
        if file.path.endswith(".parquet"):
            with folder.open(file.path) as opened:
                keys = pq.read_table(opened, columns=_KEYS.names[:-1])
            is_here = pa.repeat(run_id_of(file.path) == run_id, len(keys))
            yield keys.append_column(_KEYS.field("is_here"), is_here).cast(_KEYS)


def _journal_keys(folder: Folder, run_id: str) -> pa.Table:
    return key_table(
        (settled, run_id_of(file.path) == run_id)
        for file in folder.list(JOURNAL)
        for settled, _ in read_segment(folder.read(file.path))
    )


def key_table(records: Iterable[tuple[Settled, bool]]) -> pa.Table:
    """The key columns of records, each with whether this run wrote it."""
    rows = [(one.item_id, one.source_id, one.outcome, one.retriable, is_here) for one, is_here in records]
    columns = [list(values) for values in zip(*rows, strict=True)] or [[] for _ in _KEYS]
    return pa.table(columns, schema=_KEYS)
