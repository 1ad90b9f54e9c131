"""A whole part in memory, for tests that look at its rows."""

from __future__ import annotations

from itertools import chain

import pyarrow as pa

from cardbeam.model.part import Part, PartCounts
from cardbeam.storage.folder import Folder
from cardbeam.tables.parts import read_part as slices


def read_part(
    folder: Folder, part: Part, slice_rows: int = slices.SLICE_ROWS
) -> tuple[dict[str, pa.Table], PartCounts]:
    """A part's rows by table, and its counts."""
    read = list(slices.read_part(folder, part, slice_rows))
    tables: dict[str, list[pa.Table]] = {}
    for table, rows in chain.from_iterable(one.tables.items() for one in read):
        tables.setdefault(table, []).append(rows)
    counts = slices.add_up(part, [one.counts for one in read])
    return {table: pa.concat_tables(rows) for table, rows in tables.items()}, counts
