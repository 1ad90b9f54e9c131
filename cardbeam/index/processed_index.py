"""Ledger + journals -> what is settled already, by source and by content.

Ledger files are read by their key columns alone, and an id takes 16 bytes: a settled picture
takes 56, ten million some 560 MB in each worker.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cardbeam.index.failures import Failure, Failures
from cardbeam.index.id_array import Ids, IdSet, Index, Numbers, room, to_hex, to_ids
from cardbeam.index.record_keys import RecordKeys, key_table
from cardbeam.index.status import Standing
from cardbeam.journal.follower import Known
from cardbeam.model.record import Settled, SettledAs

_MOST_NOTED = 2000
"""So many records are noted one by one before they join the arrays: some 400 bytes each, twice that while they are
merged. Where the arrays are large it is `_NOTED_PART` of their length, for each merge copies them."""
_NOTED_PART = 0.01

_SETTLED = [SettledAs.ANSWERED.value, SettledAs.DEAD.value, SettledAs.COPY.value]
"""Records of other outcomes tell of attempts, and settle nothing."""
_FAILURE = ["item_id", "source_id", "code", "input_id"]
_CODES = 1 << 16
"""An item's number is its standing and, behind that, the number of its code: the lowest is the best standing."""


_NEW = Standing.NEW * _CODES


class Answered:
    """Which requests are settled: asked by source id before a picture is opened, by item id after.

    Shared by the threads of a process. What the process settles itself is noted as it happens.
    """

    def __init__(
        self,
        records: Iterable[tuple[str, pa.Table]],
        run_id: str = "",
        *,
        is_replay: bool = False,
        most_noted: int = _MOST_NOTED,
    ) -> None:
        """Takes the key columns of all records, each table with the run that wrote it.

        In a replay what died before is new.
        """
        self._run_id, self._is_replay = run_id, is_replay
        self._most_noted = most_noted
        self._lock = threading.Lock()
        self._merger = ThreadPoolExecutor(1, thread_name_prefix="merge")
        """One: allocators keep for a thread what it has freed, so each of many would keep the memory of a merge."""
        self._noted: list[RecordKeys] = []
        self._noted_items: dict[str, int] = {}
        self._noted_sources: dict[str, str] = {}
        self._noted_inputs: set[str] = set()
        self._codes: dict[str, int] = {"": 0}
        self._failures = Failures()
        self._items = Index.empty()
        self._sources = Index.empty()
        self._item_of_source: Ids = np.empty((0, 2), np.uint64)
        self._inputs = IdSet.empty()
        self._add(records)
        self._failures.forget(lambda key: self._number_of(key) != _NEW or bool(self._item_of(key)))

    def of_item(self, item_id: str) -> Standing:
        """What is known by content."""
        standing = self._standing(item_id)
        return self._failed_here(item_id) if standing is Standing.NEW else standing

    def of_source(self, source_id: str | None) -> tuple[Standing, str]:
        """What is known without opening a picture, and the item id it is known under."""
        if source_id is None:
            return Standing.NEW, ""
        item_id = self._item_of(source_id) or self._failures.item_of(source_id)
        standing = self._standing(item_id) if item_id else Standing.NEW
        if standing is Standing.NEW:
            standing = self._failed_here(source_id)
        return standing, "" if standing is Standing.NEW else item_id

    def has_input(self, source_id: str | None, input_id: str | None) -> bool:
        """Whether a record of this very input is held, its labels included; one without labels adds none to another."""
        if input_id is None:
            return self.of_source(source_id)[0] is not Standing.NEW
        is_held = input_id in self._noted_inputs or self._inputs.has_one(input_id)
        return is_held or self._failed_here(input_id) is not Standing.NEW

    def failures_of(self, item_id: str, source_id: str | None) -> int:
        """In how many earlier runs the image failed."""
        is_over = self._number_of(item_id) // _CODES == Standing.DEAD_BEFORE
        return max(self._failures.runs(item_id, source_id), int(is_over))

    def failure_of(self, item_id: str) -> Failure | None:
        """Why an item has no answer; None where it has one, or none was tried."""
        standing, code = divmod(self._number_of(item_id), _CODES)
        if standing in (Standing.DEAD_HERE, Standing.DEAD_BEFORE):
            return Failure(list(self._codes)[code], is_retriable=False)
        return self._failures.failure_of(item_id) if standing == Standing.NEW else None

    def note(self, settled: Settled | Known) -> None:
        """Know what this process has just settled, in case its bundle is run again; or what another did."""
        if settled.outcome not in _SETTLED:
            return
        item_id, source_id, input_id = settled.item_id, settled.source_id, settled.input_id
        with self._lock:
            if settled.retriable:
                self._failures.note((item_id, source_id, settled.code, input_id))
                return
            if settled.outcome != SettledAs.COPY.value:
                number = self._number(settled.outcome == SettledAs.ANSWERED.value, settled.code)
                self._noted_items[item_id] = min(number, self._number_of(item_id))
            if source_id is not None:
                self._noted_sources[source_id] = item_id
            if input_id is not None:
                self._noted_inputs.add(input_id)
            self._noted.append((item_id, source_id, settled.outcome, False, settled.code, input_id))
            if len(self._noted) >= max(self._most_noted, _NOTED_PART * len(self._items.ids)):
                self._merger.submit(self._merge_noted).result()
                self._noted, self._noted_items, self._noted_sources = [], {}, {}
                self._noted_inputs = set()

    def _standing(self, item_id: str) -> Standing:
        """What is final."""
        standing = Standing(self._number_of(item_id) // _CODES)
        return Standing.NEW if self._is_replay and standing is Standing.DEAD_BEFORE else standing

    def _number_of(self, item_id: str) -> int:
        if (noted := self._noted_items.get(item_id)) is not None:
            return noted
        items = self._items
        at = items.find_one(item_id)
        return _NEW if at < 0 else int(items.numbers[at])

    def _item_of(self, source_id: str) -> str:
        """The item id that a source is known under; empty where it is not known."""
        if (item_id := self._noted_sources.get(source_id)) is not None:
            return item_id
        sources = self._sources
        at = sources.find_one(source_id)
        return to_hex(self._item_of_source[sources.numbers[at]]) if at >= 0 else ""

    def _failed_here(self, key: str) -> Standing:
        return Standing.DEAD_HERE if self._failures.is_here(key) else Standing.NEW

    def _number(self, is_answered: bool, code: str | None) -> int:
        """Of a record of this run that is final."""
        if is_answered:
            return Standing.ANSWERED_HERE * _CODES
        return Standing.DEAD_HERE * _CODES + self._code_number(code or "")

    def _merge_noted(self) -> None:
        self._add([(self._run_id, key_table(self._noted))])

    def _add(self, records: Iterable[tuple[str, pa.Table]]) -> None:
        """Merge records into the sorted arrays. A table's strings go as soon as they are numbers."""
        keys = [self._as_numbers(run_id, table) for run_id, table in records]
        if not keys:
            return
        items = self._items.merged(
            np.concatenate([one.final_ids for one in keys]), np.concatenate([one.numbers for one in keys])
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
        self._inputs = self._inputs.merged(np.concatenate([one.input_ids for one in keys]))
        self._item_of_source = item_of_source
        self._sources = sources

    def _as_numbers(self, run_id: str, keys: pa.Table) -> _Numbers:
        keys = keys.filter(pc.is_in(keys["outcome"], value_set=pa.array(_SETTLED)))
        sourced = keys.filter(pc.is_valid(keys["source_id"]))
        failed = keys.filter(keys["retriable"])
        if len(failed):
            self._add_failures(run_id, failed)
            keys = keys.filter(pc.invert(keys["retriable"]))
        is_answered = pc.equal(keys["outcome"], SettledAs.ANSWERED.value)
        is_copy = pc.equal(keys["outcome"], SettledAs.COPY.value)
        final = keys.append_column("is_answered", is_answered).filter(pc.invert(is_copy))
        standings = np.where(final["is_answered"], Standing.ANSWERED_HERE, Standing.DEAD_HERE).astype(np.int32)
        standings += np.int32(run_id != self._run_id)
        return _Numbers(
            to_ids(final["item_id"]),
            standings * np.int32(_CODES) + self._code_numbers(final["code"]),
            to_ids(sourced["item_id"]),
            to_ids(sourced["source_id"]),
            to_ids(keys["input_id"].drop_null()),
        )

    def _add_failures(self, run_id: str, failed: pa.Table) -> None:
        rows = zip(*(failed[name].to_pylist() for name in _FAILURE), strict=True)
        if run_id == self._run_id:
            for row in rows:
                self._failures.note(row)
        else:
            self._failures.add(rows, run_id)

    def _code_numbers(self, codes: pa.ChunkedArray) -> Numbers:
        encoded = pc.fill_null(codes, "").combine_chunks().dictionary_encode()
        numbers = np.array([*map(self._code_number, encoded.dictionary.to_pylist())], np.int32)
        of_rows: Numbers = numbers[encoded.indices.to_numpy()]
        return of_rows

    def _code_number(self, code: str) -> int:
        return self._codes.setdefault(code, len(self._codes)) if len(self._codes) < _CODES else self._codes.get(code, 0)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The keys of some records: of those that are final with their numbers, and of those whose source is known."""

    final_ids: Ids
    numbers: Numbers
    item_ids: Ids
    source_ids: Ids
    input_ids: Ids
