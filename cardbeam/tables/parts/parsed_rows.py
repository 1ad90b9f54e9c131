"""Part -> its rows by table, a slice at a time, and at last what it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from cardbeam.index.id_array import IdSet, to_ids
from cardbeam.model.part import Part, PartCounts
from cardbeam.run_state.layout import LEDGER
from cardbeam.storage.folder import Folder
from cardbeam.tables.parts.read_part import add_up, read_part


@dataclass(frozen=True, slots=True)
class ParsedRows:
    """Rows of one table as an Arrow batch: the element of a graph between parsing and writing.

    Those of one table and part are numbered, so that a file is named after the first that it holds:
    whatever bundles a runner makes of them, no two files have one name, and the same rows make the same file.
    """

    table: str
    run_id: str
    part: str
    number: int
    rows: pa.Table

    @property
    def file_name(self) -> str:
        """Name of a file that begins with these rows."""
        return f"{self.part}-{self.number}" if self.number else self.part


def parse_part(folder: Folder, part: Part, *, with_ledger: bool = False) -> Iterator[ParsedRows | PartCounts]:
    """The rows of a part for each table, then its counts. `with_ledger` and errors are those of `read_part`."""
    counts: list[PartCounts] = []
    numbers: Counter[str] = Counter()
    for some in read_part(folder, part, with_ledger=with_ledger):
        for table, rows in some.tables.items():
            name = part.name if table == LEDGER else part.shown_name
            yield ParsedRows(table, part.run_id, name, numbers[table], rows)
            numbers[table] += 1
        counts.append(some.counts)
    yield add_up(part, counts)


def of_items(some: ParsedRows, items: IdSet) -> ParsedRows | None:
    """Those of the rows that are of some items; None where none is."""
    mask = items.are_in(to_ids(some.rows["item_id"]))
    if not mask.any():
        return None
    return some if mask.all() else replace(some, rows=some.rows.filter(pa.array(mask)))
