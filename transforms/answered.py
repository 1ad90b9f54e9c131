"""Ledger + journals -> what is settled already, by source and by content.

Ledger files are read by their key columns alone, and an id takes 16 bytes: a settled picture
takes 56, ten million some 560 MB in each worker.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.utils.shared import Shared

from transforms.elements import Settled, SettledAs
from transforms.frames import FIELDS, list_segments, read_stored
from transforms.ids import Ids, Index, Numbers, room, to_hex, to_ids
from transforms.layout import JOURNAL, LEDGER, run_id_of
from transforms.settings import Settings
from transforms.storage import Folder, open_folder
from transforms.tail import Known, Tail

_MOST_NOTED = 2000
"""So many records are noted one by one before they join the arrays: some 400 bytes each, twice that while they are
merged. Where the arrays are large it is `_NOTED_PART` of their length, for each merge copies them."""
_NOTED_PART = 0.01

_KEYS = pa.schema(
    [
        ("item_id", pa.string()),
        ("source_id", pa.string()),
        ("outcome", pa.string()),
        ("retriable", pa.bool_()),
        ("is_here", pa.bool_()),
    ]
)

_keys_of_record = attrgetter(*_KEYS.names[:-1])
_keys_of_row = itemgetter(*map(FIELDS.index, _KEYS.names[:-1]))


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
    """Which requests are settled: asked by source id before a picture is opened, by item id after.

    Shared by the threads of a process. What the process settles itself is noted as it happens.
    """

    def __init__(self, keys: Iterable[pa.Table], *, is_replay: bool = False, most_noted: int = _MOST_NOTED) -> None:
        """Takes the key columns of all records, `is_here` where this run wrote the record.

        In a replay what died before is new.
        """
        self._is_replay, self._most_noted = is_replay, most_noted
        self._lock = threading.Lock()
        self._merger = ThreadPoolExecutor(1, thread_name_prefix="merge")
        """One: allocators keep for a thread what it has freed, so each of many would keep the memory of a merge."""
        self._noted: list[tuple[Any, ...]] = []
        self._noted_items: dict[str, Standing] = {}
        self._noted_sources: dict[str, str] = {}
        self._items = Index.empty()
        self._sources = Index.empty()
        self._item_of_source: Ids = np.empty((0, 2), np.uint64)
        self._add(keys)

    def of_item(self, item_id: str) -> Standing:
        """What is known by content."""
        if (noted := self._noted_items.get(item_id)) is not None:
            return noted
        items = self._items
        at = items.find_one(item_id)
        return Standing.NEW if at < 0 else Standing(int(items.numbers[at]))

    def of_source(self, source_id: str | None) -> tuple[Standing, str]:
        """What is known without opening a picture, and the item id it is known under."""
        if source_id is None:
            return Standing.NEW, ""
        if (item_id := self._noted_sources.get(source_id)) is None:
            sources = self._sources
            at = sources.find_one(source_id)
            if at < 0:
                return Standing.NEW, ""
            item_id = to_hex(self._item_of_source[sources.numbers[at]])
        return self.of_item(item_id), item_id

    def note(self, settled: Settled | Known) -> None:
        """Know what this process has just settled, in case its bundle is run again; or what another did."""
        with self._lock:
            if settled.outcome != SettledAs.COPY.value and not settled.retriable:
                is_answer = settled.outcome == SettledAs.ANSWERED.value
                standing = Standing.ANSWERED_HERE if is_answer else Standing.DEAD_HERE
                self._noted_items[settled.item_id] = min(standing, self.of_item(settled.item_id))
            if settled.source_id is not None:
                self._noted_sources[settled.source_id] = settled.item_id
            self._noted.append(_keys_of_record(settled))
            if len(self._noted) >= max(self._most_noted, _NOTED_PART * len(self._items.ids)):
                self._merger.submit(self._merge_noted).result()
                self._noted, self._noted_items, self._noted_sources = [], {}, {}

    def _merge_noted(self) -> None:
        self._add([_key_table(self._noted, is_here=True)])

    def _add(self, tables: Iterable[pa.Table]) -> None:
        """Merge records into the sorted arrays. A table's strings go as soon as they are numbers."""
        keys = [_as_numbers(table, is_replay=self._is_replay) for table in tables]
        if not keys:
            return
        items = self._items.merged(
            np.concatenate([one.final_ids for one in keys]), np.concatenate([one.standings for one in keys])
        )
        item_ids = np.concatenate([one.item_ids for one in keys])
        source_ids = np.concatenate([one.source_ids for one in keys])
        is_settled = items.find(item_ids) >= 0
        settled = item_ids[is_settled]
        item_of_source = room(len(self._item_of_source) + len(settled), settled)
        np.concatenate([self._item_of_source, settled], out=item_of_source)
        rows = np.arange(len(self._item_of_source), len(item_of_source), dtype=np.int32)
        # of two records of one source the later is preferred: an answer follows a death, never the reverse
        sources = self._sources.merged(source_ids[is_settled], rows, is_higher_better=True)
        # readers take no lock: the sources come last, and their rows stay where they are
        self._items = items
        self._item_of_source = item_of_source
        self._sources = sources


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The keys of some records: of those that are final with their standings, and of those whose source is known."""

    final_ids: Ids
    standings: Numbers
    item_ids: Ids
    source_ids: Ids


def _as_numbers(keys: pa.Table, *, is_replay: bool) -> _Numbers:
    is_answered = pc.equal(keys["outcome"], SettledAs.ANSWERED.value)
    is_dead = pc.and_(pc.equal(keys["outcome"], SettledAs.DEAD.value), pc.invert(keys["retriable"]))
    if is_replay:
        is_dead = pc.and_(is_dead, keys["is_here"])
    final = keys.append_column("is_answered", is_answered).filter(pc.or_(is_answered, is_dead))
    standings = np.where(final["is_answered"], Standing.ANSWERED_HERE, Standing.DEAD_HERE).astype(np.int32)
    standings += np.where(final["is_here"], 0, 1).astype(np.int32)
    sourced = keys.filter(pc.is_valid(keys["source_id"]))
    return _Numbers(to_ids(final["item_id"]), standings, to_ids(sourced["item_id"]), to_ids(sourced["source_id"]))


class SharedAnswered:
    """What is settled already, loaded once in each process and used by all stages of a graph."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._shared, self._followers = settings, Shared(), Shared()

    def get(self) -> Answered:
        """The process's index."""
        output, is_replay = self._settings.output, self._settings.replay is not None
        index: Answered = self._shared.acquire(
            partial(load_answered, open_folder(output.output), output.run_id, is_replay=is_replay)
        )
        return index

    def catch_up(self, group: str) -> None:
        """Know what others settled of a group's likely copies: nothing here, for all of them are in the group."""

    def refresh(self) -> None:
        """Know what others settled since this was loaded, or since the last time."""
        output = self._settings.output
        follower: _Follower = self._followers.acquire(partial(_Follower, open_folder(output.output), output.run_id))
        follower.follow(self.get())


class _Follower:
    """How far a process has read what others wrote."""

    def __init__(self, folder: Folder, run_id: str) -> None:
        self._lock, self._tail = threading.Lock(), Tail(folder, run_id)

    def follow(self, answered: Answered) -> None:
        with self._lock:
            for known in self._tail.read():
                if answered.of_source(known.source_id)[0] is Standing.NEW:
                    answered.note(known)


def load_answered(folder: Folder, run_id: str, *, is_replay: bool = False) -> Answered:
    """Everything settled in the output folder, by any run.

    A watch may publish meanwhile: it merges ledger files, and removes segments that the ledger took over. What came to
    the ledger after it was read is left to who follows it (see `Tail`).
    """
    return Answered(chain(_ledger_keys(folder, run_id), _journal_keys(folder, run_id)), is_replay=is_replay)


def _ledger_keys(folder: Folder, run_id: str) -> Iterator[pa.Table]:
    listed: set[str] = set()
    must_list = True
    while must_list:
        must_list = False
        for file in folder.list(LEDGER):
            if file.path.endswith(".parquet") and file.path not in listed:
                listed.add(file.path)
                if (keys := _keys_of_file(folder, file.path, is_here=run_id_of(file.path) == run_id)) is not None:
                    yield keys
                else:  # merged into another, which is not in this listing
                    must_list = True


def _keys_of_file(folder: Folder, path: str, *, is_here: bool) -> pa.Table | None:
    """The key columns of a ledger file; None where it is gone."""
    try:
        with folder.open(path) as opened:
            keys = pq.read_table(opened, columns=_KEYS.names[:-1])
    except FileNotFoundError:
        return None
    return keys.append_column(_KEYS.field("is_here"), pa.repeat(is_here, len(keys))).cast(_KEYS)


def _journal_keys(folder: Folder, run_id: str) -> Iterator[pa.Table]:
    for file in list_segments(folder, JOURNAL):
        rows = (_keys_of_row(row) for row, _ in read_stored(folder, file.path, 0, file.size_bytes))
        with suppress(FileNotFoundError):  # taken over by the ledger since it was listed
            yield _key_table(rows, is_here=run_id_of(file.path) == run_id)


def _key_table(rows: Iterable[tuple[Any, ...]], *, is_here: bool) -> pa.Table:
    columns = [list(values) for values in zip(*rows, strict=True)] or [[] for _ in _KEYS.names[:-1]]
    return pa.table([*columns, [is_here] * len(columns[0])], schema=_KEYS)
