"""Persons -> the items that hold them, over all runs: by item, URI, label or document number.

Whoever is found in one image is found in the others by the numbers on its documents. An image that shows several
persons leads to no other image, for its numbers are not all of the person who asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cardbeam.erasure.rows import GONE, ItemSet, Mask, as_mask, parquet_paths, read_columns
from cardbeam.model.record import RecordStatus
from cardbeam.run_state.layout import DEAD_LETTERS, DOCUMENT_TABLES, LEDGER
from cardbeam.storage.folder import Folder
from schemas.documents import DOCUMENTS
from schemas.outcomes import Stage

_PERSONAL = {
    "9_id_card_front": "id",
    "12_id_card_front": "id",
    "chip_id_card_front": "id",
    "chip_id_card_back": "person_number",
    "passport": "person_number",
}
"""Types with the personal number of their holder, and its column."""
_NUMBERS = ("id", "person_number", "document_number")
_MIN_DIGITS = 8
"""A shorter number was misread, or is of no person; it leads to no other image."""
_WITHOUT_DOCUMENT = [RecordStatus.FAILED.value, RecordStatus.RETRY.value, RecordStatus.DEFERRED.value]


@dataclass(frozen=True, slots=True)
class Selection:
    """Who is to be erased; any of these."""

    item_ids: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    numbers: tuple[str, ...] = ()


@dataclass(slots=True)
class SelectedItems:
    """The items of a selection."""

    item_ids: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    """Of these, images that show several persons: the others go with them."""


def plain_number(number: str) -> str:
    """A number without spaces and dots, as `card_number` of the views."""
    return "".join(one for one in number.upper() if one.isascii() and one.isalnum())


def select_items(folder: Folder, selection: Selection) -> SelectedItems:
    """All items of these persons. Raises as `opened_parquet`."""
    found = SelectedItems(set(_in_ledger(folder, selection)))
    numbers = {plain for number in selection.numbers if (plain := plain_number(number))}
    while True:
        before = len(found.item_ids), len(numbers)
        _follow_numbers(folder, found, numbers)
        if (len(found.item_ids), len(numbers)) == before:
            break
    found.item_ids |= _unparsed(folder, numbers)
    found.item_ids |= _failed_at(folder, found.item_ids)
    return found


def _in_ledger(folder: Folder, selection: Selection) -> Iterator[str]:
    items = ItemSet(selection.item_ids)
    columns = ["item_id", *(["uris"] if selection.uris else []), *(["labels"] if selection.labels else [])]
    for path in parquet_paths(folder, LEDGER) if items.ids or len(columns) > 1 else ():
        rows = read_columns(folder, path, columns)
        mask = items.mask(rows["item_id"])
        if selection.uris:
            mask |= with_uris(rows["uris"], selection.uris)
        if selection.labels:
            mask |= with_labels(rows["labels"], selection.labels)
        yield from rows["item_id"].filter(pa.array(mask)).to_pylist()


def with_uris(uris: pa.ChunkedArray, wanted: Iterable[str]) -> Mask:
    """The rows that name one of some URIs."""
    column = uris.combine_chunks()
    mask = np.zeros(len(column), bool)
    is_wanted = as_mask(pc.is_in(pc.list_flatten(column), value_set=pa.array(sorted(set(wanted)), pa.string())))
    mask[np.asarray(pc.list_parent_indices(column))[is_wanted]] = True
    return mask


def with_labels(labels: pa.ChunkedArray, wanted: Iterable[tuple[str, str]]) -> Mask:
    """The rows that have one of some labels."""
    pairs = set(wanted)
    keys = {key for key, _ in pairs}
    found = [any(key in keys and (key, value) in pairs for key, value in row or ()) for row in _rows(labels)]
    return np.array(found, bool)


def _rows(labels: pa.ChunkedArray) -> Iterator[list[tuple[str, str]] | None]:
    for chunk in labels.chunks:
        yield from chunk.to_pylist()


def _follow_numbers(folder: Folder, found: SelectedItems, numbers: set[str]) -> None:
    """One look through the documents: items with one of the numbers, and the numbers of items of one person."""
    personal: dict[str, set[str]] = defaultdict(set)
    all_numbers: dict[str, set[str]] = defaultdict(set)
    for document_type, rows in _numbered(folder):
        items = ItemSet(found.item_ids)
        value_set = pa.array(sorted(numbers), pa.string())
        mask = items.mask(rows["item_id"])
        for name in rows.column_names[1:]:
            mask |= as_mask(pc.is_in(rows[name], value_set=value_set))
        for row in rows.filter(pa.array(mask)).to_pylist():
            item_id = row.pop("item_id")
            found.item_ids.add(item_id)
            numbers_read = {name: number for name, number in row.items() if number and len(number) >= _MIN_DIGITS}
            all_numbers[item_id].update(numbers_read.values())
            if (own := numbers_read.get(_PERSONAL.get(document_type, ""))) is not None:
                personal[item_id].add(own)
    for item_id, told_numbers in all_numbers.items():
        if len(personal[item_id]) > 1:
            found.shared.add(item_id)
        else:
            numbers |= told_numbers


def _numbered(folder: Folder) -> Iterator[tuple[str, pa.Table]]:
    """Item ids and plain numbers, file by file, of the types that have any."""
    for table, document_type in DOCUMENT_TABLES.items():
        names = [one.name for one in DOCUMENTS[document_type] if one.name in _NUMBERS]
        for path in parquet_paths(folder, table) if names else ():
            rows = read_columns(folder, path, ["item_id", *names])
            columns = [_plain(rows[name]) for name in rows.column_names[1:]]
            yield document_type, pa.table([rows["item_id"], *columns], names=rows.column_names)


def _plain(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.replace_substring_regex(pc.utf8_upper(numbers), "[^0-9A-Z]+", "")


def _unparsed(folder: Folder, numbers: set[str]) -> set[str]:
    """Items whose response gave no document, and holds one of the numbers."""
    wanted = [number.encode() for number in numbers if len(number) >= _MIN_DIGITS]
    unparsed: set[str] = set()
    for path in parquet_paths(folder, DEAD_LETTERS) if wanted else ():
        rows = read_columns(folder, path, ["item_id", "stage"])
        unparsed.update(rows["item_id"].filter(pc.equal(rows["stage"], Stage.PARSE.value)).to_pylist())
    items, found = ItemSet(unparsed), set[str]()
    for path in parquet_paths(folder, LEDGER) if unparsed else ():
        if items.mask(read_columns(folder, path, ["item_id"])["item_id"]).any():
            rows = read_columns(folder, path, ["item_id", "response"])
            for row in rows.filter(pa.array(items.mask(rows["item_id"]))).to_pylist():
                if any(number in (row["response"] or b"") for number in wanted):
                    found.add(row["item_id"])
    return found


def _failed_at(folder: Folder, item_ids: set[str]) -> set[str]:
    """Items without a document that failed at a URI of these: an image that could not be read has another item id."""
    uris = uris_of(folder, ItemSet(item_ids))
    found: set[str] = set()
    for path in parquet_paths(folder, LEDGER) if uris else ():
        rows = read_columns(folder, path, ["item_id", "outcome", "uris"])
        rows = rows.filter(pc.is_in(rows["outcome"], value_set=pa.array(_WITHOUT_DOCUMENT)))
        if len(rows):
            found.update(rows["item_id"].filter(pa.array(with_uris(rows["uris"], uris))).to_pylist())
    return found


def uris_of(folder: Folder, items: ItemSet) -> set[str]:
    """Every URI that the ledger still names of these items."""
    found: set[str] = set()
    for path in parquet_paths(folder, LEDGER) if items.ids else ():
        if items.mask(read_columns(folder, path, ["item_id"])["item_id"]).any():
            rows = read_columns(folder, path, ["item_id", "uris"])
            found.update(pc.list_flatten(rows["uris"].filter(pa.array(items.mask(rows["item_id"])))).to_pylist())
    return found


def erased_items(folder: Folder, item_ids: Iterable[str]) -> set[str]:
    """Those of some items that are erased already."""
    items, found = ItemSet(item_ids), set[str]()
    for path in parquet_paths(folder, LEDGER):
        rows = read_columns(folder, path, ["item_id", "outcome"])
        is_gone = as_mask(pc.is_in(rows["outcome"], value_set=pa.array(sorted(GONE))))
        found.update(rows["item_id"].filter(pa.array(items.mask(rows["item_id"]) & is_gone)).to_pylist())
    return found
