"""Parts of a run's records, and the files that are written of them."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """Records of one journal segment, from byte `start` to byte `end`."""

    path: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Part:
    """Records that are read and written together: one ledger file, and the rows it gives each table.

    A new part names the journal `spans` it comes from; one without is a ledger file that is there.
    Rows are counted over all records of the spans, or of the file. `repeated` are in the ledger
    already; `superseded` are replaced in the tables by another record of the same request.
    """

    run_id: str
    name: str
    spans: tuple[Span, ...] = ()
    repeated: frozenset[int] = frozenset()
    superseded: frozenset[int] = frozenset()
    duplicates: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Item ids with the URIs of a copy, one entry a copy."""
    records: int | None = None
    """Rows of its spans or of its file, as they were planned."""

    @property
    def hidden(self) -> frozenset[int]:
        """Rows that no table shows but the ledger, by rows of the ledger file, which holds no repeated ones."""
        repeated = sorted(self.repeated)
        return frozenset(row - bisect_left(repeated, row) for row in self.superseded - self.repeated)

    @property
    def shown_name(self) -> str:
        """The name of its files in the tables but the ledger: another one where they show other rows of it."""
        shown = (sorted(self.hidden), sorted(set(self.duplicates)), [] if self.spans else sorted(self.repeated))
        return f"{self.name}-{hashlib.sha256(repr(shown).encode()).hexdigest()[:8]}" if any(shown) else self.name


@dataclass(frozen=True, slots=True)
class PartCounts:
    """What a part holds, for the receipt."""

    run_id: str
    spans: tuple[Span, ...]
    answered: int = 0
    failed: int = 0
    without_row: int = 0
    """Answers that gave no document: their requests count as failed."""
    calls_sent: int = 0
    calls_retried: int = 0
    dead_letters: tuple[tuple[str, int], ...] = ()
    calls_by_second: tuple[tuple[int, int], ...] = ()
    first_call_s: float | None = None
    last_call_s: float | None = None
    """When the first call began and the last was answered, seconds since 1970."""
    damaged: tuple[tuple[str, int], ...] = ()
    """Segments of the journal that are damaged within its spans, and how many of their records are lost."""
    erased: int = 0
    """Requests that ended in this run, and were erased since."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One file of the output."""

    run_id: str
    table: str
    path: str
    rows: int
    size_bytes: int
    schema: str = ""
    """Fingerprint of its columns: equal only where names and types are."""
