"""How a table's Parquet files are laid out, so that a query reads little of them.

Some hundred rows at a time stand in the order of their images' URIs, which take a quarter less room so. Ids are
random, and their bounds say nothing: a Bloom filter in each row group says whether it can hold one. Boxes have no
bounds worth keeping. Only encodings of Parquet's first version are used: every engine reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

ROW_GROUP_ROWS = 16_384
GROUP_BYTES = 12 * 1024 * 1024
"""Bounds of a row group, which is in memory as a whole. Four times as many make a file 3 % smaller, no query faster."""
_PAGE_BYTES = 64 * 1024
"""A column is packed page by page. With the usual 1 MB most columns would be one page: a group would be held twice."""
_COMPRESSION = "zstd"
_FALSE_POSITIVES = 0.01
_LOOKED_UP = ("item_id", "id", "person_number", "document_number")
"""Columns by which single rows are asked for."""
_ALL_DIFFERENT = frozenset(
    {*_LOOKED_UP, "source_id", "uris", "labels", "called_at", "started_at", "completed_at", "response"}
)
"""Columns in which a dictionary finds nothing twice."""


def batched(pieces: Iterable[pa.Table], max_rows: int, max_bytes: int) -> Iterator[pa.Table]:
    """Pieces of a table, in larger ones within bounds; a piece that is larger itself stays as it is."""
    waiting: list[pa.Table] = []
    rows = size_bytes = 0
    for piece in pieces:
        rows, size_bytes = rows + len(piece), size_bytes + piece.nbytes
        if waiting and (rows > max_rows or size_bytes > max_bytes):
            yield _joined(waiting)
            rows, size_bytes = len(piece), piece.nbytes
        waiting.append(piece)
    if waiting:
        yield _joined(waiting)


def _joined(waiting: list[pa.Table]) -> pa.Table:
    """The tables of a list, which is empty then: whoever takes them has them alone, and lets them go."""
    joined = pa.concat_tables(waiting)
    waiting.clear()
    return joined


def in_order(rows: pa.Table) -> pa.Table:
    """The rows of a table by first URI; those of one request stay together, in the order of its documents."""
    keys = {"uri": _first(rows["uris"]), "item_id": rows["item_id"]}
    if "document_index" in rows.column_names:
        keys["index"] = rows["document_index"]
    order = pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in keys])
    return rows.take(order)


def _first(uris: pa.ChunkedArray) -> pa.ChunkedArray:
    """The first of each list, null of an empty one."""
    return pc.list_element(pc.list_slice(uris, 0, 1, return_fixed_size_list=True), 0)


def writer_options(schema: pa.Schema, rows: int) -> dict[str, Any]:
    """What pyarrow's writers are told of a file with so many rows in a group."""
    distinct = max(1, min(rows, ROW_GROUP_ROWS))
    looked_up = [name for name in _LOOKED_UP if name in schema.names]
    return {
        "compression": _COMPRESSION,
        "data_page_size": _PAGE_BYTES,
        "write_page_checksum": True,
        "use_dictionary": list(_leaves(schema, _repeats)),
        "write_statistics": list(_leaves(schema, _has_bounds)),
        "bloom_filter_options": {name: {"ndv": distinct, "fpp": _FALSE_POSITIVES} for name in looked_up},
    }


def _repeats(field: pa.Field) -> bool:
    return field.name not in _ALL_DIFFERENT and not pa.types.is_floating(field.type)


def _has_bounds(field: pa.Field) -> bool:
    return not pa.types.is_struct(field.type) and not pa.types.is_binary(field.type)


@cache
def _leaves(schema: pa.Schema, which: Callable[[pa.Field], bool]) -> tuple[str, ...]:
    """Parquet's names of the leaf columns below some columns."""
    return tuple(leaf for field in schema if which(field) for leaf in _leaves_of(field))


def _leaves_of(field: pa.Field) -> Iterator[str]:
    if pa.types.is_struct(field.type):
        yield from (f"{field.name}.{part.name}" for part in field.type)
    elif pa.types.is_map(field.type):
        yield from (f"{field.name}.key_value.{part}" for part in ("key", "value"))
    elif pa.types.is_list(field.type):
        yield f"{field.name}.list.element"
    else:
        yield field.name
