"""Journal and ledger of a run -> Parts: which records are written together, which are replaced.

Of several records of one request the tables show one: an answer before a death, the first
answer that was paid for, the last death. The ledger keeps them all. A part's name is a hash
of its records, so that the same records always make the same files.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.tables import LEDGER_SCHEMA
from transforms.elements import Part, SettledAs, Span
from transforms.frames import FIELDS, read_stored
from transforms.ids import Ids, Index, first_of_each, to_ids
from transforms.layout import JOURNAL, LEDGER, of_run
from transforms.storage import Folder

PART_RECORDS = 50_000
PART_BYTES = 32 * 1024 * 1024
"""Bounds of one part, which a worker holds in memory at once, several times over while it parses."""

_RANK = {SettledAs.ANSWERED.value: 0, SettledAs.DEAD.value: 1, SettledAs.COPY.value: 2}
_KEYS = pa.schema([("item_id", pa.string()), ("source_id", pa.string()), ("rank", pa.int32()), ("last_at", pa.int64())])
_NO_COPIES = LEDGER_SCHEMA.empty_table()
_keys_of = itemgetter(*map(FIELDS.index, ("item_id", "source_id", "outcome", "last_at")))
_copy_of = itemgetter(*map(FIELDS.index, ("item_id", "uris")))
_OUTCOME = FIELDS.index("outcome")
_Copies = list[tuple[str, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class _Draft:
    """A part before its records were compared with those of the others."""

    name: str | None
    spans: tuple[Span, ...]
    keys: pa.Table
    copies: _Copies


def plan_parts(
    folder: Folder, run_id: str, *, part_records: int = PART_RECORDS, part_bytes: int = PART_BYTES
) -> list[Part]:
    """Every part of a run: its ledger files, and its journal cut into new ones within the bounds."""
    ledger = _ledger_drafts(folder, _ledger_paths(folder, run_id))
    return _parts(run_id, [*ledger, *_journal_drafts(folder, run_id, part_records, part_bytes)])


def plan_new_parts(folder: Folder, run_id: str, read_up_to: Mapping[str, int]) -> list[Part]:
    """The parts of what came to a run's journal since it was read up to some byte of each segment.

    Their writers may still write: spans end with the last whole record. The parts are compared with
    each other alone: what they replace in older parts is left to `plan_parts`.
    """
    return _parts(run_id, list(_journal_drafts(folder, run_id, PART_RECORDS, PART_BYTES, read_up_to)))


def plan_file(folder: Folder, run_id: str, path: str) -> Part:
    """One ledger file as a part, compared with nothing else."""
    (part,) = _parts(run_id, list(_ledger_drafts(folder, [path])))
    return part


def _parts(run_id: str, drafts: list[_Draft]) -> list[Part]:
    if not drafts:
        return []
    keys = pa.concat_tables([draft.keys for draft in drafts]).combine_chunks()
    ids = to_ids(keys["item_id"])
    firsts = _first_rows(keys, ids)
    is_repeated = _repeated(keys) if len(firsts) < len(keys) else np.zeros(len(keys), bool)
    is_shown = firsts[keys["rank"].to_numpy()[firsts] != _RANK[SettledAs.COPY.value]]
    ends = np.cumsum([len(draft.keys) for draft in drafts])
    copies = _copies_by_part(drafts, ids[is_shown], np.searchsorted(ends, is_shown, side="right"))
    is_superseded = keys["rank"].to_numpy() != _RANK[SettledAs.COPY.value]
    is_superseded[is_shown] = False
    is_superseded |= _answered_since(keys)
    return [
        Part(
            run_id,
            draft.name or _name(draft.keys.filter(pa.array(~is_repeated[end - len(draft.keys) : end]))),
            draft.spans,
            repeated=_rows(is_repeated[end - len(draft.keys) : end]),
            superseded=_rows(is_superseded[end - len(draft.keys) : end]),
            copies=tuple(copies[number]),
        )
        for number, (draft, end) in enumerate(zip(drafts, ends, strict=True))
    ]


def _rows(mask: npt.NDArray[np.bool_]) -> frozenset[int]:
    return frozenset(np.flatnonzero(mask).tolist())


def _name(keys: pa.Table) -> str:
    hasher = hashlib.sha256()
    for column in keys.columns:
        texts = pc.fill_null(column.cast(pa.string()), "")
        hasher.update("\n".join(texts.to_pylist()).encode() + b"\0")
    return f"part-{hasher.hexdigest()[:16]}"


def _repeated(keys: pa.Table) -> npt.NDArray[np.bool_]:
    """Rows that are an earlier row once more: a journal read after its ledger was written."""
    numbered = keys.append_column("row", pa.array(np.arange(len(keys))))
    firsts = numbered.group_by(keys.column_names).aggregate([("row", "min")])
    is_repeated = np.ones(len(keys), bool)
    is_repeated[firsts["row_min"].to_numpy()] = False
    return is_repeated


def _first_rows(keys: pa.Table, ids: Ids) -> npt.NDArray[np.int64]:
    """The row of each request that the tables show, or of a copy where there is no other."""
    rank, last_at = keys["rank"].to_numpy(), keys["last_at"].to_numpy()
    age = np.where(rank == _RANK[SettledAs.DEAD.value], -last_at, last_at)
    return first_of_each(ids, rank, age, np.arange(len(keys)))


def _answered_since(keys: pa.Table) -> npt.NDArray[np.bool_]:
    """Deaths of a source that was settled otherwise after all: unread they had another key than their answer."""
    is_death = pc.equal(keys["rank"], _RANK[SettledAs.DEAD.value])
    if not pc.any(is_death).as_py():
        return np.zeros(len(keys), bool)
    settled = keys["source_id"].filter(pc.invert(is_death)).drop_null()
    found: npt.NDArray[np.bool_] = pc.and_(is_death, pc.is_in(keys["source_id"], settled)).to_numpy()
    return found


def _copies_by_part(drafts: list[_Draft], shown_ids: Ids, shown_parts: npt.NDArray[np.int64]) -> dict[int, _Copies]:
    """Copies, by the part that shows their original; those of an earlier run's answers are in none."""
    found: dict[int, _Copies] = defaultdict(list)
    copies = sorted({copy for draft in drafts for copy in draft.copies})
    parts = shown_parts.astype(np.int32)
    index = Index.of(shown_ids, parts, parts)
    for copy, at in zip(copies, index.find(to_ids([item_id for item_id, _ in copies])), strict=True):
        if at >= 0:
            found[int(index.numbers[at])].append(copy)
    return found


def _ledger_paths(folder: Folder, run_id: str) -> Iterator[str]:
    return (file.path for file in folder.list(of_run(LEDGER, run_id)) if file.path.endswith(".parquet"))


def _ledger_drafts(folder: Folder, paths: Iterable[str]) -> Iterator[_Draft]:
    for path in paths:
        with folder.open(path) as opened:
            file = pq.ParquetFile(opened)
            rows = file.read(["item_id", "source_id", "outcome", "last_at"])
            is_copy = pc.equal(rows["outcome"], SettledAs.COPY.value)
            copied = file.read(["item_id", "uris"]).filter(is_copy) if pc.any(is_copy).as_py() else _NO_COPIES
        copies = zip(copied["item_id"].to_pylist(), map(tuple, copied["uris"].to_pylist()), strict=True)
        rank = pc.index_in(rows["outcome"], pa.array(list(_RANK)))
        keys = [rows["item_id"], rows["source_id"], rank, rows["last_at"].cast(pa.int64())]
        yield _Draft(PurePosixPath(path).stem, (), pa.table(keys, schema=_KEYS), list(copies))


def _journal_drafts(
    folder: Folder, run_id: str, part_records: int, part_bytes: int, read_up_to: Mapping[str, int] | None = None
) -> Iterator[_Draft]:
    """Cut the segments into parts. Without `read_up_to` every byte lies in one span, what is torn included."""
    spans: list[Span] = []
    rows: list[tuple[Any, ...]] = []
    copies: _Copies = []
    for file in folder.list(of_run(JOURNAL, run_id)):
        start = last = (read_up_to or {}).get(file.path, 0)
        if start and file.size_bytes <= start:
            continue
        for row, last in read_stored(folder, file.path, start, file.size_bytes):
            rows.append(_keys_of(row))
            if row[_OUTCOME] == SettledAs.COPY.value:
                item_id, uris = _copy_of(row)
                copies.append((item_id, tuple(uris)))
            if len(rows) >= part_records or _size_bytes(spans) + last - start >= part_bytes:
                yield _draft([*spans, Span(file.path, start, last)], rows, copies)
                spans, rows, copies, start = [], [], [], last
        end = file.size_bytes if read_up_to is None else last
        if end > start or read_up_to is None:
            spans.append(Span(file.path, start, end))
    if spans:
        yield _draft(spans, rows, copies)


def _size_bytes(spans: list[Span]) -> int:
    return sum(span.end - span.start for span in spans)


def _draft(spans: list[Span], rows: list[tuple[Any, ...]], copies: _Copies) -> _Draft:
    item_ids, source_ids, outcomes, last_at = zip(*rows, strict=True) if rows else [()] * 4
    keys = pa.table([item_ids, source_ids, [_RANK[outcome] for outcome in outcomes], last_at], schema=_KEYS)
    return _Draft(None, tuple(spans), keys, copies)
