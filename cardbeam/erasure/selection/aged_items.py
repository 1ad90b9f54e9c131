"""What is older than a policy keeps it: images as a whole, and responses or thumbnails alone.

An image as a whole is as old as its newest answer or failure, in any run; the strictest rule that is about it holds. An
image that was never processed has no age. A response and a thumbnail are as old as they are themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from cardbeam.erasure.drops import Drop
from cardbeam.erasure.rows import ItemSet, parquet_paths, read_columns
from cardbeam.erasure.selection.policy import Kept, Rule
from cardbeam.erasure.selection.select_items import with_labels
from cardbeam.model.record import LEFT, RecordStatus
from cardbeam.run_state.layout import DOCUMENT_TABLES, LEDGER
from cardbeam.storage.folder import Folder
from schemas.document_tables import TIMESTAMP

_PROCESSED = [RecordStatus.SUCCEEDED.value, RecordStatus.FAILED.value]
_AGES = pa.schema([("item_id", pa.string()), ("completed_at", TIMESTAMP), ("is_processed", pa.bool_())])
_WHOLE = (Kept.DOCUMENTS, Kept.DEAD_LETTERS)


@dataclass(frozen=True, slots=True)
class Due:
    """What one rule says of one thing that has an age."""

    rule: Rule
    kept: Kept
    days: int

    @property
    def name(self) -> str:
        """How a certificate names it."""
        return f"{self.rule.name}: {self.kept.value}"


def dues_of(rules: Sequence[Rule]) -> list[Due]:
    """Every age of a policy, in its order."""
    return [Due(rule, kept, days) for rule in rules for kept in Kept if (days := rule.days_of(kept)) is not None]


def aged_items(folder: Folder, dues: Sequence[Due], now: datetime, *, read_alone: bool = False) -> list[set[str]]:
    """Of each age the items that are too old as a whole; of responses and thumbnails alone none.

    `read_alone` leaves out those without a document, which `replay` may be sending again. Raises as `opened_parquet`.
    """
    found: list[set[str]] = [set() for _ in dues]
    whole = [number for number, due in enumerate(dues) if due.kept in _WHOLE]
    if not whole:
        return found
    older = _older(folder, sorted({dues[number].days for number in whole}), now)
    left = set(older[min(older)])
    typed = _by_type(folder, list(DOCUMENT_TABLES.values()), ItemSet(left))
    labelled = _by_label(folder, [dues[number].rule for number in whole], ItemSet(left))
    with_document = set[str]().union(*typed.values())
    if read_alone:
        left &= with_document
    for number in sorted(whole, key=lambda one: dues[one].days):
        due = dues[number]
        about = left & with_document if due.kept is Kept.DOCUMENTS else left - with_document
        about = _about(due.rule, about, typed, labelled)
        left -= about
        found[number] = about & older[due.days]
    return found


def aged_values(folder: Folder, dues: Sequence[Due], now: datetime) -> list[Drop | None]:
    """Of each age what it drops of rows that stay; None of images as a whole. Raises as `opened_parquet`."""
    alone = [due.rule for due in dues if due.kept not in _WHOLE]
    typed = _by_type(folder, sorted({one for rule in alone for one in rule.types}))
    labelled = _by_label(folder, alone)

    def drop(due: Due) -> Drop | None:
        if due.kept in _WHOLE:
            return None
        items = None
        if due.rule.types or due.rule.labels:
            all_typed, all_labelled = (set[str]().union(*held.values()) for held in (typed, labelled))
            items = ItemSet(_about(due.rule, all_typed if due.rule.types else all_labelled, typed, labelled))
        return Drop(due.kept, now - timedelta(days=due.days), items)

    return [drop(due) for due in dues]


_Labelled = dict[tuple[str, str], set[str]]


def _about(rule: Rule, items: set[str], typed: dict[str, set[str]], labelled: _Labelled) -> set[str]:
    """Those of the items that have any of a rule's types, and any of its labels."""
    if rule.types:
        items = items & set[str]().union(*(typed[one] for one in rule.types))
    return items & set[str]().union(*(labelled[one] for one in rule.labels)) if rule.labels else items


def _older(folder: Folder, ages: list[int], now: datetime) -> dict[int, set[str]]:
    """Of each age in days, the items whose newest answer or failure is older."""
    newest = _newest(folder)
    older: dict[int, set[str]] = {}
    for days in ages:
        due = pa.scalar(now - timedelta(days=days), TIMESTAMP)
        older[days] = set(newest["item_id"].filter(pc.less(newest["completed_at"], due)).to_pylist())
    return older


def _newest(folder: Folder) -> pa.Table:
    """Each item that was processed, with when it was taken up last: then its call may have been put off."""
    found = [_AGES.empty_table()]
    for path in parquet_paths(folder, LEDGER):
        rows = read_columns(folder, path, ["item_id", "outcome", "completed_at"])
        rows = rows.filter(pc.is_in(rows["outcome"], value_set=pa.array([*_PROCESSED, *sorted(LEFT)])))
        is_processed = pc.is_in(rows["outcome"], value_set=pa.array(_PROCESSED))
        found.append(pa.table([rows["item_id"], rows["completed_at"], is_processed], names=_AGES.names).cast(_AGES))
    aggregates = [("completed_at", "max"), ("is_processed", "any")]
    grouped = (
        pa.concat_tables(found)
        .group_by("item_id")
        .aggregate(aggregates)
        .select(["item_id", *("_".join(one) for one in aggregates)])
        .rename_columns(_AGES.names)
    )
    return grouped.filter(grouped["is_processed"])


def _by_type(folder: Folder, names: Sequence[str], items: ItemSet | None = None) -> dict[str, set[str]]:
    """Those of the items, or all, with a document of some types, by type."""
    found: dict[str, set[str]] = {name: set() for name in names}
    for table, document_type in DOCUMENT_TABLES.items():
        is_asked = document_type in found and (items is None or items.ids)
        for path in parquet_paths(folder, table) if is_asked else ():
            ids = read_columns(folder, path, ["item_id"])["item_id"]
            held = ids if items is None else ids.filter(pa.array(items.mask(ids)))
            found[document_type].update(held.to_pylist())
    return found


def _by_label(folder: Folder, rules: Sequence[Rule], items: ItemSet | None = None) -> _Labelled:
    """Those of the items, or all, with a label that a rule names, by label."""
    found: _Labelled = {label: set() for rule in rules for label in rule.labels}
    for path in parquet_paths(folder, LEDGER) if found and (items is None or items.ids) else ():
        rows = read_columns(folder, path, ["item_id", "labels"])
        if items is not None:
            rows = rows.filter(pa.array(items.mask(rows["item_id"])))
        for label, ids in found.items():
            ids.update(rows["item_id"].filter(pa.array(with_labels(rows["labels"], [label]))).to_pylist())
    return found
