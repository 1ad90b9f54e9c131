"""Ledger rows -> rows of the index on disk: by the URI of the first image, and by content.

Both tables have a `key` that they are sorted by. By source it is the URI, so that a listing meets it in order. By
content it is the group of the image's size, three hex digits, then the item id: images that may be duplicates of each
other are neighbours, so a worker reads a group at a time.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from cardbeam.model.grouping import content_group
from cardbeam.model.record import RecordStatus

KEY = "key"
ERASED_KEY = ""
EARLIER = ("run_id", "item_id", "source_id", "outcome", "retriable", "code", "input_id")
"""Columns that an `EarlierRecord` is made of, in its order."""
COMPLETED_AT = "completed_at"
"""In microseconds since 1970. It is read where it matters alone: for `--reread_before`."""
_BY_CONTENT = ("outcome", "retriable", "code", COMPLETED_AT)
_TYPES = {"retriable": pa.bool_(), COMPLETED_AT: pa.int64()}
BY_SOURCE_SCHEMA = pa.schema([(name, _TYPES.get(name, pa.string())) for name in (KEY, *EARLIER, COMPLETED_AT)])
BY_CONTENT_SCHEMA = pa.schema([(name, _TYPES.get(name, pa.string())) for name in (KEY, "run_id", *_BY_CONTENT)])

LEDGER_COLUMNS = (
    "item_id",
    "source_id",
    "outcome",
    "retriable",
    "code",
    "input_id",
    "uris",
    "image_bytes",
    COMPLETED_AT,
)
_PROCESSED = [RecordStatus.SUCCEEDED.value, RecordStatus.FAILED.value, RecordStatus.ERASED.value]
"""Outcomes that say what came of an image; the others only count an input of one, or process nothing."""


def by_source(run_id: str, ledger: pa.Table) -> pa.Table:
    """Rows by the URI of the first image, in the ledger's order; those without a URI are left out, but for erased ones:
    these have the key `ERASED_KEY`, for every process holds them."""
    outcomes = pa.array([*_PROCESSED, RecordStatus.DUPLICATE.value])
    rows = ledger.filter(pc.is_in(ledger["outcome"], value_set=outcomes))
    first = pc.list_element(pc.list_slice(rows["uris"], 0, 1, return_fixed_size_list=True), 0)
    is_erased = pc.equal(rows["outcome"], RecordStatus.ERASED.value)
    named = {KEY: pc.if_else(is_erased, ERASED_KEY, first), "run_id": _repeated(run_id, len(rows))}
    table = pa.table({name: named[name] if name in named else rows[name] for name in BY_SOURCE_SCHEMA.names})
    return table.filter(pc.is_valid(table[KEY])).cast(BY_SOURCE_SCHEMA)


def by_content(run_id: str, ledger: pa.Table) -> pa.Table:
    """Rows by content, one or two for each image whose result a record tells.

    An id that was made of the source is asked for before the size of the image is known; so is it filed. Whether it is
    one cannot be told where the version was unknown: such a row is filed under both.
    """
    rows = ledger.filter(pc.is_in(ledger["outcome"], value_set=pa.array(_PROCESSED)))
    is_sized = pc.greater(pc.fill_null(rows["image_bytes"], 0), 0)
    is_of_source = pc.fill_null(pc.equal(rows["item_id"], rows["source_id"]), True)
    by_size = pc.and_(is_sized, pc.invert(pc.fill_null(pc.equal(rows["item_id"], rows["source_id"]), False)))
    by_item = pc.or_(pc.invert(is_sized), is_of_source)
    return pa.concat_tables([_filed(run_id, rows.filter(by_size), sized=True), _filed(run_id, rows.filter(by_item))])


def _filed(run_id: str, rows: pa.Table, *, sized: bool = False) -> pa.Table:
    if sized:
        sizes = rows["image_bytes"].combine_chunks().dictionary_encode()
        groups = pa.array([content_group("", size) for size in sizes.dictionary.to_pylist()], pa.string())
        prefixes = groups.take(sizes.indices)
    else:
        prefixes = pa.array([content_group(item_id, None) for item_id in rows["item_id"].to_pylist()], pa.string())
    keys = pc.binary_join_element_wise(prefixes, rows["item_id"].combine_chunks(), "")
    columns = [keys, _repeated(run_id, len(rows)), *(rows[name] for name in _BY_CONTENT)]
    return pa.table(columns, names=BY_CONTENT_SCHEMA.names).cast(BY_CONTENT_SCHEMA)


def _repeated(value: str, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), rows)
