"""What goes of rows that stay: responses of the ledger, and thumbnails of documents, that are older than a time.

A row of the ledger whose response was dropped still says that its image succeeded, with the code `response_dropped`:
nothing is called for again, and publishing keeps the documents that were made of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cardbeam.erasure.rows import ItemSet, Mask, as_mask, parquet_paths
from cardbeam.erasure.selection.policy import Kept
from cardbeam.erasure.thumbnails import without_thumbnails
from cardbeam.model.record import RESPONSE_DROPPED, RecordStatus
from cardbeam.run_state.layout import DOCUMENT_TABLES, LEDGER, run_id_of, table_of
from cardbeam.storage.folder import Folder
from cardbeam.storage.read_parquet import opened_parquet
from schemas.document_tables import TIMESTAMP, schema_of

_THUMBNAILS = {
    table: next((field.name for field in schema_of(name) if pa.types.is_binary(field.type)), None)
    for table, name in DOCUMENT_TABLES.items()
}
"""The column of each table that holds thumbnails, if it has one."""
_TIMES = {Kept.RESPONSES: "completed_at", Kept.THUMBNAILS: "called_at"}


@dataclass(frozen=True, slots=True)
class Drop:
    """Responses or thumbnails of some items, or of all, that are older than a time."""

    kept: Kept
    older_than: datetime
    items: ItemSet | None = None

    @classmethod
    def of(cls, held: dict[str, Any]) -> Drop:
        """As a plan holds it."""
        items = None if held["item_ids"] is None else ItemSet(held["item_ids"])
        return cls(Kept(held["kept"]), datetime.fromisoformat(held["older_than"]), items)

    def as_json(self) -> dict[str, Any]:
        """For a plan."""
        item_ids = None if self.items is None else sorted(self.items.ids)
        return {"kept": self.kept.value, "older_than": self.older_than.isoformat(), "item_ids": item_ids}

    def mask(self, rows: pa.Table) -> Mask:
        """The rows that are old enough, and of these items."""
        due = pa.scalar(self.older_than, TIMESTAMP)
        mask = as_mask(pc.less(rows[_TIMES[self.kept]], due))
        return mask if self.items is None else mask & self.items.mask(rows["item_id"])


def value_column(kept: Kept, path: str) -> str | None:
    """The column of a file that holds what a drop is about; None where it has none."""
    table = table_of(path)
    if kept is Kept.RESPONSES:
        return "response" if table == LEDGER else None
    return _THUMBNAILS.get(table)


def count_values(folder: Folder, drops: Sequence[Drop]) -> tuple[list[int], set[str]]:
    """How many values each drop takes that none before it does, and the runs that hold them."""
    counts, runs = [0] * len(drops), set[str]()
    for kept in _TIMES:
        mine = [number for number, drop in enumerate(drops) if drop.kept is kept]
        tables = [LEDGER] if kept is Kept.RESPONSES else [table for table, name in _THUMBNAILS.items() if name]
        for path in (path for table in tables for path in parquet_paths(folder, table) if mine):
            for masks in _masks(folder, path, [drops[number] for number in mine]):
                left = np.ones(len(masks[0]), bool)
                for number, mask in zip(mine, masks, strict=True):
                    counts[number] += int((mask & left).sum())
                    left &= ~mask
                if not left.all():
                    runs.add(run_id_of(path) or "")
    return counts, runs


def is_hit(folder: Folder, path: str, drops: Sequence[Drop]) -> bool:
    """Whether a file holds a value that any of these takes."""
    return any(mask.any() for masks in _masks(folder, path, drops) for mask in masks)


def items_with(folder: Folder, path: str, drops: Sequence[Drop]) -> Iterator[str]:
    """The items of the values that these take from a file."""
    for rows, masks in _masked(folder, path, drops):
        yield from rows["item_id"].filter(pa.array(np.logical_or.reduce(masks))).to_pylist()


def _masks(folder: Folder, path: str, drops: Sequence[Drop]) -> Iterator[list[Mask]]:
    return (masks for _, masks in _masked(folder, path, drops))


def _masked(folder: Folder, path: str, drops: Sequence[Drop]) -> Iterator[tuple[pa.Table, list[Mask]]]:
    """Row group by row group the keys of a file, and what each drop takes. Values are read only where rows are old."""
    for kept, time in _TIMES.items():
        mine, column = [drop for drop in drops if drop.kept is kept], value_column(kept, path)
        if not mine or column is None:
            continue
        with opened_parquet(folder, path) as file:
            has_columns = {column, time, "item_id"} <= {*file.schema_arrow.names}
            for number in range(file.num_row_groups) if has_columns else ():
                rows = file.read_row_group(number, ["item_id", time])
                masks = [drop.mask(rows) for drop in mine]
                if any(mask.any() for mask in masks):
                    has_value = as_mask(pc.is_valid(file.read_row_group(number, [column])[column]))
                    yield rows, [mask & has_value for mask in masks]


def without_responses(rows: pa.Table, drops: Iterable[Drop]) -> pa.Table:
    """Rows of a ledger without what is dropped."""
    masks = [drop.mask(rows) for drop in drops if drop.kept is Kept.RESPONSES]
    return _replaced(rows, np.logical_or.reduce(masks), lambda _: None) if masks else rows


def without_thumbnail_responses(rows: pa.Table, items: ItemSet) -> pa.Table:
    """Rows of a ledger whose responses hold no thumbnail of these items."""
    succeeded = as_mask(pc.equal(rows["outcome"], RecordStatus.SUCCEEDED.value))
    return _replaced(rows, items.mask(rows["item_id"]) & succeeded, without_thumbnails)


def _replaced(rows: pa.Table, mask: Mask, change: Callable[[bytes], bytes | None]) -> pa.Table:
    mask = mask & as_mask(pc.is_valid(rows["response"]))
    if not mask.any():
        return rows
    held = rows["response"].filter(pa.array(mask)).to_pylist()
    left = pa.array([change(one) for one in held], pa.binary())
    response = pc.replace_with_mask(rows["response"].combine_chunks(), pa.array(mask), left)
    is_answer = as_mask(pc.equal(rows["outcome"], RecordStatus.SUCCEEDED.value))
    is_dropped = mask & is_answer & ~as_mask(pc.is_valid(response))
    code = pc.if_else(pa.array(is_dropped), RESPONSE_DROPPED, rows["code"])
    return _with(_with(rows, "response", response), "code", code)


def without_images(rows: pa.Table, path: str, drops: Iterable[Drop]) -> pa.Table:
    """Rows of a documents table without the thumbnails that are dropped."""
    column = value_column(Kept.THUMBNAILS, path)
    masks = [drop.mask(rows) for drop in drops if drop.kept is Kept.THUMBNAILS]
    if column is None or column not in rows.column_names or not masks:
        return rows
    mask = pa.array(np.logical_or.reduce(masks))
    return _with(rows, column, pc.if_else(mask, pa.scalar(None, rows[column].type), rows[column]))


def _with(rows: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    at = rows.schema.get_field_index(name)
    return rows.set_column(at, rows.schema.field(at), values)


def totals(counted: Iterable[tuple[Drop, int]]) -> dict[str, int]:
    """Counts by what is dropped."""
    total: Counter[str] = Counter()
    for drop, count in counted:
        total[drop.kept.value] += count
    return dict(total)
