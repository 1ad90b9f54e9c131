"""Ledger + journals -> the columns that tell what is known of a request, a table a file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from operator import attrgetter

import pyarrow as pa
import pyarrow.compute as pc

from cardbeam.journal.reader import list_segments, read_stored
from cardbeam.run_state.layout import JOURNAL, LEDGER, run_id_of
from cardbeam.storage.folder import Folder
from cardbeam.storage.read_parquet import read_ledger

RecordKeys = tuple[str, str | None, str, bool, str | None, str | None]
"""Item id, source id, outcome, whether it is retriable, code and input id of one record."""
KEYS = pa.schema(
    [
        ("item_id", pa.string()),
        ("source_id", pa.string()),
        ("outcome", pa.string()),
        ("retriable", pa.bool_()),
        ("code", pa.string()),
        ("input_id", pa.string()),
    ]
)
_keys_of = attrgetter(*KEYS.names)


def ledger_keys(folder: Folder, since_us: int = 0, left_out: Collection[str] = ()) -> Iterator[tuple[str, pa.Table]]:
    """Every ledger file of the output but for those of some runs, with its run; records that were completed before a
    time are left out."""
    listed: set[str] = set()
    must_list = True
    while must_list:
        must_list = False
        for file in folder.list(LEDGER):
            run_id = run_id_of(file.path) or ""
            if file.path.endswith(".parquet") and file.path not in listed and run_id not in left_out:
                listed.add(file.path)
                if (keys := _keys_of_file(folder, file.path, since_us)) is not None:
                    yield run_id, keys
                else:  # merged into another, which is not in this listing
                    must_list = True


def _keys_of_file(folder: Folder, path: str, since_us: int) -> pa.Table | None:
    """The key columns of a ledger file; None where it is gone."""
    try:
        if not since_us:
            return read_ledger(folder, path, KEYS.names).cast(KEYS)
        table = read_ledger(folder, path, [*KEYS.names, "completed_at"])
    except FileNotFoundError:
        return None
    recent = pc.greater_equal(table["completed_at"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()), since_us)
    return table.filter(recent).select(KEYS.names).cast(KEYS)


def journal_keys(folder: Folder, since_us: int = 0) -> Iterator[tuple[str, pa.Table]]:
    """Every journal segment of the output, with its run; as `ledger_keys`."""
    for file in list_segments(folder, JOURNAL):
        stored = (record for record, _ in read_stored(folder, file.path, 0, file.size_bytes))
        rows = (_keys_of(record) for record in stored if record.completed_at >= since_us)
        with suppress(FileNotFoundError):  # taken over by the ledger since it was listed
            yield run_id_of(file.path) or "", key_table(rows)


def key_table(rows: Iterable[RecordKeys]) -> pa.Table:
    """The key columns of records."""
    return pa.table([list(values) for values in zip(*rows, strict=True)] or [[]] * len(KEYS), schema=KEYS)
