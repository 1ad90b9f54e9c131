"""Images that are older than a policy keeps them, by rule: the strictest rule that is about an image holds.

The age of an image is that of its newest answer or failure, in any run. An image that was never processed has no age.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from cardbeam.erasure.policy import Rule
from cardbeam.erasure.rows import ItemSet, parquet_paths, read_columns
from cardbeam.erasure.select_items import with_labels
from cardbeam.model.record import LEFT, RecordStatus
from cardbeam.run_state.layout import DOCUMENT_TABLES, LEDGER
from cardbeam.storage.folder import Folder
from schemas.document_tables import TIMESTAMP

_PROCESSED = [RecordStatus.SUCCEEDED.value, RecordStatus.FAILED.value]
_AGES = pa.schema([("item_id", pa.string()), ("completed_at", TIMESTAMP), ("is_processed", pa.bool_())])


def aged_items(
    folder: Folder, rules: Sequence[Rule], now: datetime, *, read_alone: bool = False
) -> dict[str, set[str]]:
    """The items that are too old, by name of the rule, in the order of the rules.

    `read_alone` leaves out those without a document, which `replay` may be sending again. Raises as `opened_parquet`.
    """
    older = _older(folder, sorted({rule.days for rule in rules}), now)
    left = set(older[min(older)])
    typed = _by_type(folder, ItemSet(left))
    labelled = _by_label(folder, ItemSet(left), rules)
    with_document = set[str]().union(*typed.values())
    if read_alone:
        left &= with_document
    found: dict[str, set[str]] = {rule.name: set() for rule in rules}
    for rule in sorted(rules, key=lambda one: one.days):
        about = set(left)
        if rule.types:
            about &= set[str]().union(*(typed[one] for one in rule.types))
        if rule.dead_letters:
            about -= with_document
        if rule.labels:
            about &= set[str]().union(*(labelled[one] for one in rule.labels))
        left -= about
        found[rule.name] = about & older[rule.days]
    return found


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
    told = [("completed_at", "max"), ("is_processed", "any")]
    grouped = (
        pa.concat_tables(found)
        .group_by("item_id")
        .aggregate(told)
        .select(["item_id", *("_".join(one) for one in told)])
        .rename_columns(_AGES.names)
    )
    return grouped.filter(grouped["is_processed"])


def _by_type(folder: Folder, items: ItemSet) -> dict[str, set[str]]:
    """Those of the items with a document, by type."""
    found: dict[str, set[str]] = {name: set() for name in DOCUMENT_TABLES.values()}
    for table, document_type in DOCUMENT_TABLES.items():
        for path in parquet_paths(folder, table) if items.ids else ():
            ids = read_columns(folder, path, ["item_id"])["item_id"]
            found[document_type].update(ids.filter(pa.array(items.mask(ids))).to_pylist())
    return found


def _by_label(folder: Folder, items: ItemSet, rules: Sequence[Rule]) -> dict[tuple[str, str], set[str]]:
    """Those of the items with a label that a rule names, by label."""
    found: dict[tuple[str, str], set[str]] = {label: set() for rule in rules for label in rule.labels}
    for path in parquet_paths(folder, LEDGER) if found and items.ids else ():
        rows = read_columns(folder, path, ["item_id", "labels"])
        rows = rows.filter(pa.array(items.mask(rows["item_id"])))
        for label, ids in found.items():
            ids.update(rows["item_id"].filter(pa.array(with_labels(rows["labels"], [label]))).to_pylist())
    return found
