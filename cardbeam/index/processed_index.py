"""Records -> what is processed already, by source and by content: the part of it that a process holds in memory.

That are the records of its own run, and those of earlier runs that the index on disk does not hold (see
`history.py`). Of each, 64 bytes are held.
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
from cardbeam.index.id_array import Ids, IdSet, Index, Numbers, mmap_array, to_hex, to_ids
from cardbeam.index.on_disk.stored_index import StoredIndex
from cardbeam.index.record_keys import RecordKeys, key_table
from cardbeam.index.status import PriorStatus
from cardbeam.journal.follower import RecordKey
from cardbeam.model.record import JournalRecord, RecordStatus
from cardbeam.model.request import place_of

_MAX_RECENT = 2000
"""So many records are noted one by one before they join the arrays: some 400 bytes each, twice that while they are
merged. Where the arrays are large it is `_RECENT_SHARE` of their length, for each merge copies them."""
_RECENT_SHARE = 0.01

_ENDED = [RecordStatus.SUCCEEDED.value, RecordStatus.ERASED.value]
_SETTLED = [*_ENDED, RecordStatus.FAILED.value, RecordStatus.DUPLICATE.value]
"""Records of other outcomes tell of attempts, and process nothing."""
_FAILURE = ["item_id", "source_id", "code", "input_id"]
_CODES = 1 << 16
"""An item's number is its standing and, behind that, the number of its code: the lowest is the best standing."""


_NEW = PriorStatus.UNKNOWN * _CODES
_ERASED_CODE = 1
"""The code of what was erased: it counts as succeeded, in a replay too."""


class ProcessedIndex:
    """Which requests are processed: asked by source id before an image is opened, by item id after.

    Shared by the threads of a process. What the process processes itself is noted as it happens.
    """

    def __init__(
        self,
        records: Iterable[tuple[str, pa.Table]],
        run_id: str = "",
        *,
        is_replay: bool = False,
        max_recent: int = _MAX_RECENT,
        stored: StoredIndex | None = None,
    ) -> None:
        """Takes the key columns of records, each table with the run that wrote it.

        In a replay what failed before is new. `stored` holds the records of other runs, all of them earlier.
        """
        self._run_id, self.is_replay, self.stored = run_id, is_replay, stored
        self._max_recent = max_recent
        self._lock = threading.Lock()
        self._merger = ThreadPoolExecutor(1, thread_name_prefix="merge")
        """One: allocators keep for a thread what it has freed, so each of many would keep the memory of a merge."""
        self._recent: list[RecordKeys] = []
        self._recent_items: dict[str, int] = {}
        self._recent_sources: dict[str, str] = {}
        self._recent_places: dict[str, str] = {}
        """The newest source of each place."""
        self._noted_inputs: set[str] = set()
        self._codes: dict[str, int] = {"": 0, RecordStatus.ERASED.value: _ERASED_CODE}
        self._failures = Failures()
        self._items = Index.empty()
        self._sources = Index.empty()
        self._item_of_source: Ids = np.empty((0, 2), np.uint64)
        self._inputs = IdSet.empty()
        self._add(records)
        self._failures.forget(lambda key: self._number_of(key) != _NEW or bool(self._item_of(key)))

    def count_items(self) -> int:
        """How many items are known; those of this run as far as they are merged."""
        return len(self._items.ids) + (self.stored.rows if self.stored else 0)

    @property
    def holds_any(self) -> bool:
        """Whether a source is held here, beside what is on disk."""
        return bool(self._recent_sources) or bool(len(self._sources.ids))

    def of_item(self, item_id: str, image_bytes: int | None = None) -> PriorStatus:
        """What is known by content; its size tells nothing here."""
        del image_bytes
        status = self._standing(item_id)
        return self._failed_here(item_id) if status is PriorStatus.UNKNOWN else status

    def of_source(self, source_id: str | None) -> tuple[PriorStatus, str]:
        """What is known without opening an image, and the item id it is known under."""
        if source_id is None:
            return PriorStatus.UNKNOWN, ""
        item_id = self._item_of(source_id) or self._failures.item_of(source_id)
        status = self._standing(item_id) if item_id else PriorStatus.UNKNOWN
        if status is PriorStatus.UNKNOWN:
            status = self._failed_here(source_id)
        return status, "" if status is PriorStatus.UNKNOWN else item_id

    def has_input(self, source_id: str | None, input_id: str | None) -> bool:
        """Whether a record of this very input is held, its labels included; one without labels adds none to another."""
        if input_id is None:
            return self.of_source(source_id)[0] is not PriorStatus.UNKNOWN
        is_held = input_id in self._noted_inputs or self._inputs.has_one(input_id)
        return is_held or self._failed_here(input_id) is not PriorStatus.UNKNOWN or self.is_erased_source(source_id)

    def is_erased(self, item_id: str) -> bool:
        """Whether what was read of an item was erased: then no label and no URI of it is recorded again."""
        return self._number_of(item_id) % _CODES == _ERASED_CODE

    def is_erased_source(self, source_id: str | None) -> bool:
        """Whether a source holds an item that was erased."""
        item_id = self._item_of(source_id) if source_id is not None else ""
        return bool(item_id) and self.is_erased(item_id)

    def is_superseded(self, source_id: str | None) -> bool:
        """Whether another version was processed since where this one is: found again, it was put back.

        Runs count in the order of their names.
        """
        is_newest = source_id is None or self.newest_at(source_id) in ("", source_id)
        return not is_newest and not self.is_erased_source(source_id)

    def newest_at(self, source_id: str) -> str:
        """The version that was processed last where this one is; empty where none was."""
        place = place_of(source_id)
        return self._recent_places.get(place) or self._sources.last_with_high(place)

    def failures_of(self, item_id: str, source_id: str | None) -> int:
        """In how many earlier runs the image failed."""
        has_failed = self._number_of(item_id) // _CODES == PriorStatus.FAILED_EARLIER_RUN
        return max(self._failures.runs(item_id, source_id), int(has_failed))

    def is_final(self, item_id: str) -> bool:
        """Whether an item has a final result, in a replay too."""
        return self._number_of(item_id) != _NEW

    def is_answered(self, item_id: str) -> bool:
        """Whether an item has an answer."""
        return self._number_of(item_id) // _CODES <= PriorStatus.SUCCEEDED_EARLIER_RUN

    def failure_of(self, item_id: str) -> Failure | None:
        """Why an item has no answer; None where it has one, or none was tried."""
        status, code = divmod(self._number_of(item_id), _CODES)
        if status in (PriorStatus.FAILED_THIS_RUN, PriorStatus.FAILED_EARLIER_RUN):
            return Failure(list(self._codes)[code], is_retriable=False)
        return self._failures.failure_of(item_id) if status == PriorStatus.UNKNOWN else None

    def record(self, processed: JournalRecord | RecordKey) -> None:
        """Know what this process has just processed, in case its bundle is run again; or what another did."""
        if processed.outcome not in _SETTLED:
            return
        item_id, source_id, input_id = processed.item_id, processed.source_id, processed.input_id
        with self._lock:
            if processed.retriable:
                self._failures.record((item_id, source_id, processed.code, input_id))
                return
            is_copy = processed.outcome == RecordStatus.DUPLICATE.value
            if not is_copy or self.stored is not None:
                self._recent_items[item_id] = min(self._number(processed, is_copy=is_copy), self._number_of(item_id))
            if source_id is not None:
                self._recent_sources[source_id] = item_id
                self._recent_places[place_of(source_id)] = source_id
            if input_id is not None:
                self._noted_inputs.add(input_id)
            self._recent.append((item_id, source_id, processed.outcome, False, processed.code, input_id))
            if len(self._recent) >= max(self._max_recent, _RECENT_SHARE * len(self._items.ids)):
                self._merger.submit(self._merge_recent).result()
                self._recent, self._recent_items, self._recent_sources = [], {}, {}
                self._recent_places, self._noted_inputs = {}, set()

    def _standing(self, item_id: str) -> PriorStatus:
        """What is final."""
        status = PriorStatus(self._number_of(item_id) // _CODES)
        return PriorStatus.UNKNOWN if self.is_replay and status is PriorStatus.FAILED_EARLIER_RUN else status

    def _number_of(self, item_id: str) -> int:
        if (recent := self._recent_items.get(item_id)) is not None:
            return recent
        items = self._items
        at = items.find_one(item_id)
        return _NEW if at < 0 else int(items.numbers[at])

    def _item_of(self, source_id: str) -> str:
        """The item id that a source is known under; empty where it is not known."""
        if (item_id := self._recent_sources.get(source_id)) is not None:
            return item_id
        sources = self._sources
        at = sources.find_one(source_id)
        return to_hex(self._item_of_source[sources.numbers[at]]) if at >= 0 else ""

    def _failed_here(self, key: str) -> PriorStatus:
        return PriorStatus.FAILED_THIS_RUN if self._failures.is_here(key) else PriorStatus.UNKNOWN

    def _number(self, processed: JournalRecord | RecordKey, *, is_copy: bool) -> int:
        """Of a record of this run that is final."""
        if processed.outcome in _ENDED or (is_copy and processed.code is None):
            is_erased = processed.code == RecordStatus.ERASED.value
            return (PriorStatus.SUCCEEDED_THIS_RUN + is_copy) * _CODES + _ERASED_CODE * is_erased
        return (PriorStatus.FAILED_THIS_RUN + is_copy) * _CODES + self._code_number(processed.code or "")

    def _merge_recent(self) -> None:
        self._add([(self._run_id, key_table(self._recent))])

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
        is_processed = items.find(item_ids) >= 0
        processed = item_ids[is_processed]
        item_of_source = mmap_array(len(self._item_of_source) + len(processed), processed)
        np.concatenate([self._item_of_source, processed], out=item_of_source)
        rows = np.arange(len(self._item_of_source), len(item_of_source), dtype=np.int64)
        # of two records of one source the later is preferred: an answer follows a failure, never the reverse
        sources = self._sources.merged(source_ids[is_processed], rows, is_higher_better=True)
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
        is_copy = pc.equal(keys["outcome"], RecordStatus.DUPLICATE.value)
        final = keys if self.stored and not self.stored.since_us else keys.filter(pc.invert(is_copy))
        statuses = _statuses(final, is_here=run_id == self._run_id)
        return _Numbers(
            to_ids(final["item_id"]),
            statuses * np.int64(_CODES) + self._code_numbers(final["code"]),
            to_ids(sourced["item_id"]),
            to_ids(sourced["source_id"]),
            to_ids(keys["input_id"].drop_null()),
        )

    def _add_failures(self, run_id: str, failed: pa.Table) -> None:
        rows = zip(*(failed[name].to_pylist() for name in _FAILURE), strict=True)
        if run_id == self._run_id:
            for row in rows:
                self._failures.record(row)
        else:
            self._failures.add(rows, run_id)

    def _code_numbers(self, codes: pa.ChunkedArray) -> Numbers:
        encoded = pc.fill_null(codes, "").combine_chunks().dictionary_encode()
        numbers = np.array([*map(self._code_number, encoded.dictionary.to_pylist())], np.int64)
        of_rows: Numbers = numbers[encoded.indices.to_numpy()]
        return of_rows

    def _code_number(self, code: str) -> int:
        return self._codes.setdefault(code, len(self._codes)) if len(self._codes) < _CODES else self._codes.get(code, 0)


def _statuses(final: pa.Table, *, is_here: bool) -> Numbers:
    """Of records that are final. That an image is a duplicate tells of an earlier one: of its failure by the code."""
    is_copy = pc.equal(final["outcome"], RecordStatus.DUPLICATE.value)
    is_answer = pc.is_in(final["outcome"], value_set=pa.array(_ENDED))
    is_answered = pc.or_(is_answer, pc.and_(is_copy, pc.is_null(final["code"])))
    first = np.where(is_answered, PriorStatus.SUCCEEDED_THIS_RUN, PriorStatus.FAILED_THIS_RUN).astype(np.int64)
    return first + (is_copy.to_numpy() if is_here else 1)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The keys of some records: of those that are final with their numbers, and of those whose source is known."""

    final_ids: Ids
    numbers: Numbers
    item_ids: Ids
    source_ids: Ids
    input_ids: Ids
