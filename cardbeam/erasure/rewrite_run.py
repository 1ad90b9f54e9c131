"""One run without some items or values: new files beside the old ones, a receipt that names them, then the old ones go.

A kill before the receipt leaves the run as it was, one after it leaves files that the receipt does not name: both are
removed by whoever goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cardbeam.erasure.drops import (
    Drop,
    is_hit,
    items_with,
    without_images,
    without_responses,
    without_thumbnail_responses,
)
from cardbeam.erasure.plan import base_name, rewritten_name
from cardbeam.erasure.rows import GONE, ItemSet, Mask, as_mask, holds, read_columns, row_groups, tombstones
from cardbeam.model.part import Part
from cardbeam.model.record import RecordStatus
from cardbeam.model.result import RequestOutcome
from cardbeam.run_state.layout import DEAD_LETTERS, DOCUMENT_TABLES, LEDGER, TABLES, of_run, table_of
from cardbeam.run_state.receipt import Receipt, describe_file, read_receipt, write_receipt
from cardbeam.storage.folder import Folder
from cardbeam.storage.read_parquet import opened_parquet
from cardbeam.tables.files.table_file import TableRows, open_parquet
from cardbeam.tables.parts.part_plan import plan_parts

_File = dict[str, Any]
"""As a receipt names it: path, rows, bytes."""
_Edit = Callable[[pa.Table, int], pa.Table]
"""Rows of a file, and the number of the first -> what becomes of them."""


@dataclass(frozen=True, slots=True)
class Erasing:
    """What is erased from each run, and by which erasure."""

    erasure_id: str
    items: ItemSet
    status: RecordStatus = RecordStatus.ERASED
    drops: tuple[Drop, ...] = ()
    """Values of other items that go from rows that stay."""


@dataclass(frozen=True, slots=True)
class _Run:
    """What is known of the run."""

    run_id: str
    erasing: Erasing
    counting: _Counting
    thumbnails_of: ItemSet
    """Items whose thumbnails go from its documents: they go from its responses too."""


def erase_in_run(folder: Folder, run_id: str, erasing: Erasing) -> list[str]:
    """Rewrite the files of a run that hold any of the items or values; the paths of the new ones.

    Raises:
        DamagedFile: a file is not whole.
    """
    receipt = read_receipt(folder, run_id)
    if receipt is None:
        return []
    _remove_unnamed(folder, receipt)
    files = [file for file in receipt.files if file["rows"]]
    paths = [file["path"] for file in files]
    thumbnails_of = ItemSet(item for path in paths for item in _with_thumbnail(folder, path, erasing))
    hit = [path for path in paths if _is_hit(folder, path, erasing, thumbnails_of)]
    if not hit:
        return []
    counting = _Counting(folder, receipt, erasing)
    run = _Run(run_id, erasing, counting, thumbnails_of)
    written = {path: _rewritten(folder, path, run) for path in hit}
    _replace_receipt(folder, receipt, written, counting)
    folder.delete(path for path in written if path != written[path]["path"])
    return [file["path"] for file in written.values()]


def _remove_unnamed(folder: Folder, receipt: Receipt) -> None:
    """Delete files that are another state of one that the receipt names: new ones before it, or old ones after it."""
    named = {file["path"] for file in receipt.files}
    bases = {(path.rpartition("/")[0], base_name(path)) for path in named}
    for table in TABLES:
        found = [file.path for file in folder.list(of_run(table, receipt.run_id)) if file.path not in named]
        folder.delete(path for path in found if (path.rpartition("/")[0], base_name(path)) in bases)


def _with_thumbnail(folder: Folder, path: str, erasing: Erasing) -> Iterator[str]:
    """The items of a documents file whose thumbnails go."""
    if not _is_ledger(path) and erasing.drops:
        yield from items_with(folder, path, erasing.drops)


def _is_hit(folder: Folder, path: str, erasing: Erasing, thumbnails_of: ItemSet) -> bool:
    if erasing.drops and is_hit(folder, path, erasing.drops):
        return True
    if not _is_ledger(path):
        return holds(folder, path, erasing.items)
    rows = read_columns(folder, path, ["item_id", "outcome"])
    return bool((_changes(rows, erasing) | thumbnails_of.mask(rows["item_id"])).any())


def _changes(rows: pa.Table, erasing: Erasing) -> Mask:
    """Rows of a ledger that become others: what is erased already is only ever forgotten."""
    is_gone = as_mask(pc.is_in(rows["outcome"], value_set=pa.array(sorted(GONE))))
    is_own = erasing.items.mask(rows["item_id"])
    if erasing.status is RecordStatus.FORGOTTEN:
        return is_own & as_mask(pc.equal(rows["outcome"], RecordStatus.ERASED.value))
    return is_own & ~is_gone


def _is_ledger(path: str) -> bool:
    return path.startswith(f"{LEDGER}/")


class _Counting:
    """As what each row of the ledger was counted in the receipt, and what that took from the counts."""

    def __init__(self, folder: Folder, receipt: Receipt, erasing: Erasing) -> None:
        self.moved: Counter[str] = Counter()
        """Requests that are erased, by what they were counted as."""
        self.lost_letters: Counter[str] = Counter()
        """Dead letters that are erased, by code."""
        parts = plan_parts(folder, receipt.run_id)
        self._parts: dict[str, Part] = {part.name: part for part in parts if not part.spans}
        paths = [file["path"] for file in receipt.files if file["rows"]]
        self._with_document = set(_items_in(folder, paths, erasing))
        self._shown = set(_shown_items(folder, receipt.run_id, self._parts, erasing))

    def counted_as(self, path: str, rows: pa.Table, mask: Mask, start: int) -> list[str | None]:
        """Of each row of a mask, the count of the receipt that it stood for; None where it stood for none."""
        part = self._parts.get(path.rpartition("/")[2].removesuffix(".parquet"))
        hidden = part.repeated | part.superseded if part else frozenset()
        keys: list[str | None] = []
        columns = (rows[name].filter(pa.array(mask)).to_pylist() for name in ("item_id", "outcome", "stage"))
        for number, item_id, outcome, stage in zip(np.flatnonzero(mask), *columns, strict=True):
            if outcome in GONE:
                keys.append(stage)
                continue
            key = None if start + int(number) in hidden else self._key(item_id, outcome)
            self.moved.update([key] if key else [])
            keys.append(key)
        return keys

    def _key(self, item_id: str, outcome: str) -> str | None:
        if outcome == RecordStatus.DUPLICATE.value:
            return RequestOutcome.DUPLICATE.value if item_id in self._shown else RequestOutcome.SKIPPED.value
        if outcome == RecordStatus.SUCCEEDED.value and item_id in self._with_document:
            return RequestOutcome.SUCCEEDED.value
        is_dead = outcome in (RecordStatus.SUCCEEDED.value, RecordStatus.FAILED.value)
        return RequestOutcome.DEAD_LETTERED.value if is_dead else None


def _items_in(folder: Folder, paths: list[str], erasing: Erasing) -> Iterator[str]:
    """Those of the items that have a document."""
    for path in paths:
        if table_of(path) in DOCUMENT_TABLES:
            ids = read_columns(folder, path, ["item_id"])["item_id"]
            yield from ids.filter(pa.array(erasing.items.mask(ids))).to_pylist()


def _shown_items(folder: Folder, run_id: str, parts: dict[str, Part], erasing: Erasing) -> Iterator[str]:
    """Those of the items that were processed in this run, not before it."""
    processed = pa.array([RecordStatus.SUCCEEDED.value, RecordStatus.FAILED.value])
    for name in parts:
        rows = read_columns(folder, f"{of_run(LEDGER, run_id)}/{name}.parquet", ["item_id", "outcome"])
        mask = erasing.items.mask(rows["item_id"]) & as_mask(pc.is_in(rows["outcome"], value_set=processed))
        yield from rows["item_id"].filter(pa.array(mask)).to_pylist()


def _rewritten(folder: Folder, path: str, run: _Run) -> _File:
    """Write a file without the items and values under its next name."""
    erasing = run.erasing

    def in_ledger(rows: pa.Table, start: int) -> pa.Table:
        mask = _changes(rows, erasing)
        kept = without_thumbnail_responses(without_responses(rows, erasing.drops), run.thumbnails_of)
        if not mask.any():
            return kept
        return tombstones(kept, mask, erasing.status, run.counting.counted_as(path, rows, mask, start))

    def elsewhere(rows: pa.Table, _: int) -> pa.Table:
        mask = erasing.items.mask(rows["item_id"])
        if path.startswith(f"{DEAD_LETTERS}/"):
            run.counting.lost_letters.update(rows["code"].filter(pa.array(mask)).to_pylist())
        return without_images(rows.filter(pa.array(~mask)) if mask.any() else rows, path, erasing.drops)

    name = rewritten_name(path, erasing.erasure_id)
    return write_edited(folder, run.run_id, path, name, in_ledger if _is_ledger(path) else elsewhere)


def write_edited(folder: Folder, run_id: str, path: str, name: str, edit: _Edit) -> _File:
    """Write a file's rows, edited a row group at a time, as a file of another name."""
    table = table_of(path)
    with opened_parquet(folder, path) as opened:
        schema = opened.schema_arrow
        largest = max((opened.metadata.row_group(n).num_rows for n in range(opened.num_row_groups)), default=0)
    first = TableRows(table, run_id, name, schema.empty_table())
    start = 0
    with open_parquet(folder, first, group_rows=largest) as file:
        for rows in row_groups(folder, path):
            if len(edited := edit(rows, start)):
                file.write(edited)
            start += len(rows)
    return describe_file(file.written)


def _replace_receipt(folder: Folder, receipt: Receipt, written: dict[str, _File], counting: _Counting) -> None:
    files = sorted((written.get(file["path"], file) for file in receipt.files), key=lambda file: str(file["path"]))
    write_receipt(
        folder,
        replace(
            receipt,
            files=files,
            requests=_moved(receipt.requests, counting.moved),
            documents=_documents(files),
            dead_letters=_fewer(receipt.dead_letters, counting.lost_letters),
        ),
    )


def _moved(requests: dict[str, int], moved: Counter[str]) -> dict[str, int]:
    """The counts, with what is erased counted as that; the sum stays."""
    counts = dict(requests)
    for name, count in moved.items():
        taken = min(count, counts[name])
        counts[name] -= taken
        counts[RequestOutcome.ERASED.value] += taken
    return counts


def _documents(files: list[_File]) -> dict[str, int]:
    rows: Counter[str] = Counter()
    for file in files:
        rows[table_of(file["path"])] += file["rows"]
    return {name: rows[table] for table, name in DOCUMENT_TABLES.items() if rows[table]}


def _fewer(counts: dict[str, int], lost: Counter[str]) -> dict[str, int]:
    return {code: left for code, count in counts.items() if (left := count - lost[code]) > 0}
