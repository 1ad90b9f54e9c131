"""Rows of table files by item: which hold some, and what such a row of the ledger becomes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cardbeam.model.record import RecordStatus
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import Folder
from cardbeam.storage.read_parquet import opened_parquet

Mask = npt.NDArray[np.bool_]
GONE = frozenset({RecordStatus.ERASED.value, RecordStatus.FORGOTTEN.value})
_KEPT = frozenset(
    {
        "item_id",
        "source_id",
        "operation",
        "http_status",
        "attempts",
        "started_at",
        "completed_at",
        "latency_s",
    }
)
"""Columns of a ledger row that stay: what was sent and when, under which hash."""


class ItemSet:
    """Item ids, to be looked up by columns."""

    def __init__(self, item_ids: Iterable[str]) -> None:
        self.ids = frozenset(item_ids)
        self._array = pa.array(sorted(self.ids), pa.string())

    def mask(self, item_ids: pa.ChunkedArray) -> Mask:
        """Which rows are of these items."""
        return as_mask(pc.is_in(item_ids, value_set=self._array))


def as_mask(values: pa.ChunkedArray | pa.Array) -> Mask:
    """Booleans of Arrow as a mask; null is no."""
    filled = pc.fill_null(values, False)
    return np.asarray(filled, bool)


def parquet_paths(folder: Folder, prefix: str) -> list[str]:
    """The Parquet files under a folder."""
    return [file.path for file in folder.list(prefix) if file.path.endswith(".parquet")]


def read_columns(folder: Folder, path: str, names: Iterable[str]) -> pa.Table:
    """Those of some columns that a file has, in the order of the names, `item_id` among them.

    Raises:
        FileNotFoundError: it is not there.
        DamagedFile: it is no whole file of a table.
    """
    with opened_parquet(folder, path) as file:
        known = [name for name in names if name in file.schema_arrow.names]
        if "item_id" not in known:
            raise DamagedFile.of(path, "has no column 'item_id'")
        return file.read(known).select(known)


def row_groups(folder: Folder, path: str) -> Iterator[pa.Table]:
    """A file, a row group in memory at a time. Raises as `opened_parquet`."""
    with opened_parquet(folder, path) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number)


def holds(folder: Folder, path: str, items: ItemSet) -> bool:
    """Whether a documents or dead letters file has a row of these items."""
    return bool(items.mask(read_columns(folder, path, ["item_id"])["item_id"]).any())


def tombstones(rows: pa.Table, mask: Mask, status: RecordStatus, counted_as: list[str | None]) -> pa.Table:
    """The rows of a ledger, those of a mask without all that was read or named; `counted_as` has one entry for each."""
    gone = rows.filter(pa.array(mask))
    given: dict[str, list[Any]] = {
        "outcome": [status.value] * len(gone),
        "code": [status.value] * len(gone),
        "stage": counted_as,
        "uris": [[]] * len(gone),
        "labels": [[]] * len(gone),
        "retriable": [False] * len(gone),
    }
    columns = []
    for field in rows.schema:
        if field.name in _KEPT:
            columns.append(gone[field.name])
        elif field.name in given:
            columns.append(pa.chunked_array([pa.array(given[field.name], field.type)]))
        else:
            columns.append(pa.chunked_array([pa.nulls(len(gone), field.type)]))
    order = np.arange(len(rows))
    order[mask] = len(rows) + np.arange(len(gone))
    both = pa.concat_tables([rows, pa.table(columns, schema=rows.schema)])
    return both.take(pa.array(order))
