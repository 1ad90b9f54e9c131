"""Parquet files that are sorted by their column `key`: written row group by row group, read where some keys are."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cardbeam.index.on_disk.stored_rows import COMPLETED_AT, KEY
from cardbeam.model.record import RecordStatus
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import Files, Folder
from cardbeam.storage.read_parquet import damage_named, opened_parquet

ROW_GROUP_ROWS = 16_384
_REPEATING = frozenset({"run_id", "outcome", "code"})
_CACHE_BYTES = 24 * 1024 * 1024


def write_sorted(files: Files, path: str, schema: pa.Schema, pieces: Iterable[pa.Table]) -> int:
    """Write pieces that are sorted by key, each after the other; the number of rows."""
    rows = 0
    with (
        files.writer(path) as opened,
        pq.ParquetWriter(
            opened,
            schema,
            compression="zstd",
            write_page_checksum=True,
            use_dictionary=[name for name in schema.names if name in _REPEATING],
            write_statistics=[KEY],
            column_encoding={KEY: "DELTA_BYTE_ARRAY", COMPLETED_AT: "DELTA_BINARY_PACKED"},
        ) as writer,
    ):
        for piece in _of_rows(pieces, ROW_GROUP_ROWS):
            writer.write_table(piece, row_group_size=ROW_GROUP_ROWS)
            rows += len(piece)
    return rows


def _of_rows(pieces: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in pieces of so many, the last one of fewer."""
    waiting: list[pa.Table] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += len(piece)
        if count >= rows:
            joined = pa.concat_tables(waiting)
            whole = count - count % rows
            yield joined.slice(0, whole)
            waiting, count = [joined.slice(whole)], count - whole
    if count:
        yield pa.concat_tables(waiting)


class RowGroups:
    """Row groups that were read lately, of all files of a process, within a bound of bytes. Threads share it."""

    def __init__(self, max_bytes: int = _CACHE_BYTES) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._lock = threading.Lock()
        self._groups: OrderedDict[tuple[str, int], pa.Table] = OrderedDict()

    def get(self, path: str, number: int) -> pa.Table | None:
        """A group that is held."""
        with self._lock:
            if (found := self._groups.get((path, number))) is not None:
                self._groups.move_to_end((path, number))
            return found

    def put(self, path: str, number: int, group: pa.Table) -> None:
        """Hold a group; drop those that were asked for longest ago."""
        with self._lock:
            before = self._groups.pop((path, number), None)
            self._bytes += group.nbytes - (0 if before is None else before.nbytes)
            self._groups[path, number] = group
            while self._bytes > self._max_bytes and len(self._groups) > 1:
                self._bytes -= self._groups.popitem(last=False)[1].nbytes


@dataclass(frozen=True, slots=True)
class _Footer:
    metadata: pq.FileMetaData
    empty: pa.Table
    first_keys: list[str]
    last_keys: list[str]


class SortedFile:
    """A sorted file, of which some row groups are in memory. Threads share it.

    Every read raises DamagedFile where the file is no whole one, and FileNotFoundError where it is gone.
    """

    def __init__(self, folder: Folder, path: str, cache: RowGroups, since_us: int = 0) -> None:
        """Rows of what was completed before a time are not there for who reads the file.

        Neither are duplicates then: an image may be one of what was completed before.
        """
        self._folder, self.path, self._cache, self._since_us = folder, path, cache, since_us
        self._footer: _Footer | None = None

    def with_keys(self, keys: Sequence[str]) -> pa.Table:
        """The rows that have any of some keys, which are sorted."""
        wanted = pa.array(keys, pa.string())
        found = (self._group(number) for number in self.groups_of(keys))
        tables = [group.filter(pc.is_in(group[KEY], value_set=wanted)) for group in found]
        return pa.concat_tables([self._open().empty, *tables])

    def with_key(self, key: str) -> pa.Table:
        """The rows that have one key."""
        return pa.concat_tables(
            [self._open().empty, *(_rows_of(self._group(one), key) for one in self.groups_of([key]))]
        )

    def groups_of(self, keys: Sequence[str]) -> list[int]:
        """The row groups that may hold some keys, which are sorted."""
        if not keys:
            return []
        footer = self._open()
        first, end = bisect_left(footer.last_keys, keys[0]), bisect_right(footer.first_keys, keys[-1])
        if end - first <= len(keys):
            numbers: Iterable[int] = range(first, end)
        else:
            numbers = sorted({number for key in keys for number in self._groups_of_key(footer, key)})
        return [one for one in numbers if _has_any(keys, footer.first_keys[one], footer.last_keys[one])]

    @staticmethod
    def _groups_of_key(footer: _Footer, key: str) -> range:
        return range(bisect_left(footer.last_keys, key), bisect_right(footer.first_keys, key))

    def _group(self, number: int) -> pa.Table:
        if (held := self._cache.get(self.path, number)) is not None:
            return held
        footer = self._open()
        with self._folder.open(self.path) as opened, damage_named(self.path):
            file = pq.ParquetFile(opened, metadata=footer.metadata, page_checksum_verification=True)
            group = self._read(file, number, footer.empty.schema.names)
        self._cache.put(self.path, number, group)
        return group

    def _read(self, file: pq.ParquetFile, number: int, columns: list[str]) -> pa.Table:
        if not self._since_us:
            return file.read_row_group(number, columns, use_threads=False)
        group = file.read_row_group(number, [*columns, COMPLETED_AT], use_threads=False)
        is_recent = pc.greater_equal(group[COMPLETED_AT], self._since_us)
        is_first = pc.not_equal(group["outcome"], RecordStatus.DUPLICATE.value)
        return group.filter(pc.and_(is_recent, is_first)).select(columns)

    def _open(self) -> _Footer:
        if self._footer is None:
            with opened_parquet(self._folder, self.path) as file:
                self._footer = self._footer_of(
                    file.metadata, file.schema_arrow.empty_table().drop_columns(COMPLETED_AT)
                )
        return self._footer

    def _footer_of(self, metadata: pq.FileMetaData, empty: pa.Table) -> _Footer:
        bounds = [metadata.row_group(number).column(0).statistics for number in range(metadata.num_row_groups)]
        if any(one is None or not one.has_min_max for one in bounds):
            raise DamagedFile.of(self.path, "has no bounds of its keys")
        return _Footer(metadata, empty, [one.min for one in bounds], [one.max for one in bounds])


def _has_any(keys: Sequence[str], first: str, last: str) -> bool:
    at = bisect_left(keys, first)
    return at < len(keys) and keys[at] <= last


def _rows_of(group: pa.Table, key: str) -> pa.Table:
    """By bisection: a worker asks for one key after the other."""
    keys = group[KEY]

    def key_at(row: int) -> str:
        found: str = keys[row].as_py()
        return found

    first = bisect_left(range(len(group)), key, key=key_at)
    return group.slice(first, bisect_right(range(len(group)), key, lo=first, key=key_at) - first)
