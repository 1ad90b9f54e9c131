"""Ledger -> index on disk: what came since is added as sorted files, and files of similar size are merged.

Whoever updates it holds the output's lock. The manifest is written last and in one step: a kill leaves the index as it
was, with files that no manifest names, which the next update removes. Files that the manifest named until now stay
until then, for `plan` reads without a lock.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import BinaryIO, cast

import pyarrow as pa

from cardbeam.index.on_disk.manifest import (
    MANIFEST,
    Entry,
    LedgerFiles,
    fingerprint,
    list_ledger,
    read_manifest,
    valid_entries,
    write_manifest,
)
from cardbeam.index.on_disk.merge_sorted import merged, sorted_by_key
from cardbeam.index.on_disk.sorted_file import write_sorted
from cardbeam.index.on_disk.stored_rows import (
    BY_CONTENT_SCHEMA,
    BY_SOURCE_SCHEMA,
    LEDGER_COLUMNS,
    by_content,
    by_source,
)
from cardbeam.run_state.layout import INDEX
from cardbeam.storage.folder import Folder
from cardbeam.storage.read_parquet import opened_ledger, opened_parquet

_LOG = logging.getLogger("cardbeam")
MIN_BYTES, MIN_FILES = 8 * 1024 * 1024, 32
"""Ledger files beyond the index that are few and small are read as they are: a small output has no index at all."""
_CHUNK_ROWS = 250_000
"""Rows that are sorted in memory at once, some 50 MB."""
_BATCH_ROWS = 4096
_SCHEMAS = (BY_SOURCE_SCHEMA, BY_CONTENT_SCHEMA)


def update_index(
    folder: Folder, *, min_bytes: int = MIN_BYTES, min_files: int = MIN_FILES, chunk_rows: int = _CHUNK_ROWS
) -> None:
    """Have the index hold every run of the ledger but for a few small ones, the newest.

    Raises:
        DamagedFile: a ledger file is damaged.
        OSError: it cannot be written; what there is stays usable.
    """
    ledger = list_ledger(folder)
    named = read_manifest(folder)
    entries = valid_entries(folder, ledger, named)
    if named:
        _delete_strays(folder, entries)
    held = {run_id for entry in entries for run_id in entry.runs}
    new = [run_id for run_id in ledger if run_id not in held]
    if not new or _is_little(ledger, new, max(held, default=""), min_bytes, min_files):
        return
    kept, replaced = _to_merge(entries, new, ledger)
    runs = {run_id: state for entry in replaced for run_id, state in entry.runs.items()}
    added = Entry(0, {**runs, **{run_id: fingerprint(ledger[run_id]) for run_id in new}})
    written = _write(folder, added, replaced, _ledger_tables(folder, new, ledger), chunk_rows)
    write_manifest(folder, sorted([*kept, written], key=lambda entry: entry.first_run))


def keep_index(folder: Folder) -> None:
    """Update the index; a disk that is full or away is logged: without the index, the ledger itself is read."""
    try:
        update_index(folder)
    except OSError as error:
        _LOG.warning("the index could not be updated, and workers read the ledger instead: %s", error)


def _is_little(ledger: LedgerFiles, new: Sequence[str], newest_held: str, min_bytes: int, min_files: int) -> bool:
    """Whether what is not in the index may stay so. An older run may not: whoever reads the rest counts it as newer."""
    if any(run_id < newest_held for run_id in new):
        return False
    files = [file for run_id in new for file in ledger[run_id]]
    return len(files) < min_files and sum(file.size_bytes for file in files) < min_bytes


def _to_merge(entries: Sequence[Entry], new: Sequence[str], ledger: LedgerFiles) -> tuple[list[Entry], list[Entry]]:
    """The entries that stay, and those that go into the new one: newer ones of similar size, and all that the new runs
    lie between, so that the runs of an entry are older than those of the next."""
    kept, replaced = list(entries), list[Entry]()
    rows = _rows_about(ledger, new)
    first = min(new)
    while kept and (kept[-1].last_run > first or kept[-1].rows < 2 * rows):
        replaced.insert(0, kept.pop())
        rows += replaced[0].rows
        first = min(first, replaced[0].first_run)
    return kept, replaced


def _rows_about(ledger: LedgerFiles, run_ids: Sequence[str]) -> int:
    bytes_a_row = 500
    return sum(file.size_bytes for run_id in run_ids for file in ledger[run_id]) // bytes_a_row


def _ledger_tables(folder: Folder, run_ids: Sequence[str], ledger: LedgerFiles) -> Iterator[tuple[str, pa.Table]]:
    """The columns that the index is made of, a row group at a time, in the order of runs."""
    for run_id in run_ids:
        for stored in ledger[run_id]:
            with opened_ledger(folder, stored.path, LEDGER_COLUMNS) as file:
                for number in range(file.num_row_groups):
                    yield run_id, file.read_row_group(number, list(LEDGER_COLUMNS), use_threads=False)


def _write(
    folder: Folder, entry: Entry, replaced: Sequence[Entry], tables: Iterator[tuple[str, pa.Table]], chunk_rows: int
) -> Entry:
    """Write the files of an entry from those that it replaces and from ledger rows."""
    with ExitStack() as stack:
        chunks = _sorted_chunks(stack, tables, chunk_rows)
        rows, _ = [
            write_sorted(folder, path, _SCHEMAS[side], merged([*_stored(folder, replaced, side), *_open(chunks[side])]))
            for side, path in enumerate(entry.paths)
        ]
    sizes = {file.path: file.size_bytes for file in folder.list(INDEX)}
    by_source_bytes, by_content_bytes = (sizes[path] for path in entry.paths)
    return replace(entry, rows=rows, sizes_bytes=(by_source_bytes, by_content_bytes))


_Chunks = tuple[list[BinaryIO], list[BinaryIO]]


def _sorted_chunks(stack: ExitStack, tables: Iterator[tuple[str, pa.Table]], chunk_rows: int) -> _Chunks:
    """Ledger rows, as both tables of the index, in sorted chunks on this machine's disk."""
    chunks: _Chunks = ([], [])
    waiting: tuple[list[pa.Table], list[pa.Table]] = ([], [])
    for run_id, table in tables:
        waiting[0].append(by_source(run_id, table))
        waiting[1].append(by_content(run_id, table))
        for side in (0, 1):
            if sum(map(len, waiting[side])) >= chunk_rows:
                chunks[side].append(_spilled(stack, waiting[side]))
    for side in (0, 1):
        if waiting[side]:
            chunks[side].append(_spilled(stack, waiting[side]))
    return chunks


def _spilled(stack: ExitStack, waiting: list[pa.Table]) -> BinaryIO:
    """Tables as one sorted chunk in a file without a name; the list is empty then."""
    rows = sorted_by_key(pa.concat_tables(waiting))
    waiting.clear()
    file = cast(BinaryIO, stack.enter_context(tempfile.TemporaryFile()))  # noqa: SIM115  # the stack closes it
    with pa.ipc.new_file(file, rows.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(rows, max_chunksize=_BATCH_ROWS)
    return file


def _open(chunks: Sequence[BinaryIO]) -> Iterator[Iterator[pa.Table]]:
    return map(_batches, chunks)


def _batches(chunk: BinaryIO) -> Iterator[pa.Table]:
    chunk.seek(0)
    reader = pa.ipc.open_file(chunk)
    return (pa.Table.from_batches([reader.get_batch(number)]) for number in range(reader.num_record_batches))


def _stored(folder: Folder, entries: Sequence[Entry], side: int) -> Iterator[Iterator[pa.Table]]:
    return (_stored_batches(folder, entry.paths[side]) for entry in entries)


def _stored_batches(folder: Folder, path: str) -> Iterator[pa.Table]:
    with opened_parquet(folder, path) as file:
        for batch in file.iter_batches(_BATCH_ROWS, use_threads=False):
            yield pa.Table.from_batches([batch])


def _delete_strays(folder: Folder, entries: Sequence[Entry]) -> None:
    """Remove what a killed update left, what a later one replaced, and what tells of a ledger that is another now."""
    named = {MANIFEST, *(path for entry in entries for path in entry.paths)}
    folder.delete([file.path for file in folder.list(INDEX) if file.path not in named])
