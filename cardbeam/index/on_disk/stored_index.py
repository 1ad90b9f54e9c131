"""The index on disk, as the processes of a run read it: the records of earlier runs by source and by content.

No process holds it. By source it is read in the order of a listing, by content a group at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from cardbeam.index.on_disk.manifest import Entry, LedgerFiles, index_damaged, list_ledger, read_manifest, valid_entries
from cardbeam.index.on_disk.sorted_file import ROW_GROUP_ROWS, RowGroups, SortedFile
from cardbeam.index.on_disk.stored_rows import EARLIER, ERASED_KEY, KEY
from cardbeam.index.record_keys import KEYS
from cardbeam.model.grouping import content_group
from cardbeam.model.record import RecordStatus
from cardbeam.model.request import EarlierRecord, Request, place_of
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import Folder

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SourceRows:
    """What the index holds of some sources."""

    newest: dict[str, str]
    """The source id that was processed last, by its place."""
    inputs: frozenset[str]
    """Inputs with labels that are recorded with a final result."""
    rows: pa.Table

    def records_of(self, uris: Sequence[str]) -> dict[str, list[EarlierRecord]]:
        """The records of some of these sources, by URI of the first image."""
        if not len(self.rows) or not uris:
            return {}
        rows = self.rows.filter(pc.is_in(self.rows[KEY], value_set=pa.array(uris, pa.string())))
        found: dict[str, list[EarlierRecord]] = defaultdict(list)
        for key, *values in zip(*(rows[name].to_pylist() for name in (KEY, *EARLIER)), strict=True):
            found[key].append(EarlierRecord(*values))
        return found


class StoredIndex:
    """The entries of an index on disk. Threads share it."""

    def __init__(self, folder: Folder, entries: Sequence[Entry], since_us: int = 0) -> None:
        """Records that were completed before a time are passed over."""
        self.since_us, cache = since_us, RowGroups()
        self._by_source = [SortedFile(folder, entry.paths[0], cache, since_us) for entry in entries]
        self._by_content = [SortedFile(folder, entry.paths[1], cache, since_us) for entry in entries]
        self.rows = sum(entry.rows for entry in entries)
        self.run_ids = frozenset(run_id for entry in entries for run_id in entry.runs)

    def sources_of(self, requests: Sequence[Request], *, is_replay: bool = False) -> SourceRows:
        """What is stored of the sources of some requests. In a replay, what failed last is left to its records.

        Raises:
            DamagedFile: a file of the index is damaged; the message says what to do.
            OSError: it cannot be read.
        """
        return self.sources_at(sorted({request.images[0].uri for request in requests}), is_replay=is_replay)

    def sources_at(self, keys: Sequence[str], *, is_replay: bool = False) -> SourceRows:
        """The same by the URIs of first images, which are sorted."""
        rows = _named(lambda: pa.concat_tables([file.with_keys(keys) for file in self._by_source]))
        final = rows.filter(pc.invert(rows["retriable"]))
        newest = {place_of(source_id): source_id for source_id in _present(final["source_id"])}
        if is_replay:
            for source_id in _present(final.filter(_is_failed(final))["source_id"]):
                if newest.get(place_of(source_id)) == source_id:
                    del newest[place_of(source_id)]
        return SourceRows(newest, frozenset(_present(final["input_id"])), rows)

    def erased(self) -> Iterator[tuple[str, pa.Table]]:
        """The key columns of records that were erased, with their runs. Raises as `sources_of` does."""
        for file in self._by_source:
            rows = _named(partial(file.with_key, ERASED_KEY))
            for run_id in sorted(set(rows["run_id"].to_pylist())):
                yield run_id, rows.filter(pc.equal(rows["run_id"], run_id)).select(KEYS.names).cast(KEYS)

    def of_item(self, item_id: str, image_bytes: int | None) -> list[EarlierRecord]:
        """The records that tell what came of an image's content. Raises as `sources_of` does."""
        group = content_group(item_id, image_bytes)
        found: list[EarlierRecord] = []
        for file in self._by_content:
            rows = _named(partial(file.with_key, group + item_id))
            if len(rows):
                values = (rows[name].to_pylist() for name in ("run_id", "outcome", "retriable", "code"))
                for run_id, outcome, retriable, code in zip(*values, strict=True):
                    found.append(EarlierRecord(run_id, item_id, None, outcome, retriable, code, None))
        return found

    def spread_of(self, requests: Sequence[Request]) -> float:
        """Rows that must be read for each of some requests: few where these are neighbours in the index."""
        keys = sorted({request.images[0].uri for request in requests})
        groups = _named(lambda: sum(len(file.groups_of(keys)) for file in self._by_source))
        return groups * ROW_GROUP_ROWS / max(1, len(keys))


def _present(column: pa.ChunkedArray) -> list[str]:
    values: list[str] = (column.drop_null() if column.null_count else column).to_pylist()
    return values


def _is_failed(rows: pa.Table) -> pa.ChunkedArray:
    is_duplicate = pc.equal(rows["outcome"], RecordStatus.DUPLICATE.value)
    return pc.or_(
        pc.equal(rows["outcome"], RecordStatus.FAILED.value), pc.and_(is_duplicate, pc.is_valid(rows["code"]))
    )


def _named(read: Callable[[], _T]) -> _T:
    try:
        return read()
    except DamagedFile as error:
        raise index_damaged(error) from None


def open_index(folder: Folder, ledger: LedgerFiles | None = None, since_us: int = 0) -> StoredIndex | None:
    """The index on disk, as far as it is up to date, of records since a time; None where there is none.

    Raises:
        OSError: the folder cannot be read.
    """
    named = read_manifest(folder)
    if not named:
        return None
    entries = valid_entries(folder, list_ledger(folder) if ledger is None else ledger, named)
    return StoredIndex(folder, entries, since_us) if entries else None
