"""Retriable failures by image: in how many earlier runs, and whether in this one.

Only images without a final result are held: what a process knows of the others does not grow by this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

FINAL_AFTER_RUNS = 3
"""A retriable failure is final in so many runs: then the image waits for `replay`."""

Row = tuple[str, str | None, str | None, str | None]
"""Item id, source id, code and input id of a retriable failure."""


class Failure(NamedTuple):
    """Why an image has no document: the code of its dead letter, and whether a later backfill tries it again."""

    code: str
    is_retriable: bool


class Failures:
    """Retriable failures of past runs and of this one. For one writer at a time; readers take no lock."""

    def __init__(self) -> None:
        self._runs: dict[str, int] = {}
        """Earlier runs as a bit mask, by item id and by source id."""
        self._numbers: dict[str, int] = {}
        self._here: set[str] = set()
        """Item, source and input ids."""
        self._item_of: dict[str, str] = {}
        self._codes: dict[str, str] = {}

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._codes

    def add(self, rows: Iterable[Row], run_id: str) -> None:
        """Take the failures of an earlier run."""
        run = 1 << self._numbers.setdefault(run_id, len(self._numbers))
        for row in rows:
            self._learn(row)
            for key in set(row[:2]):
                if key is not None:
                    self._runs[key] = self._runs.get(key, 0) | run

    def record(self, row: Row) -> None:
        """Take a failure of this run."""
        self._learn(row)
        item_id, source_id, _, input_id = row
        self._here.update(key for key in (item_id, source_id, input_id) if key is not None)

    def forget(self, is_final: Callable[[str], bool]) -> None:
        """Let go of items that have a final result, and of their sources.

        An image that could not be read has its source id for its item id.
        """
        for item_id in [one for one in self._codes if is_final(one)]:
            del self._codes[item_id]
            self._runs.pop(item_id, None)
        for source_id in [one for one, item_id in self._item_of.items() if item_id not in self._codes]:
            del self._item_of[source_id]
            self._runs.pop(source_id, None)

    def runs(self, item_id: str, source_id: str | None) -> int:
        """In how many earlier runs it failed, under its content or under its source."""
        mask = self._runs.get(item_id, 0) | (self._runs.get(source_id, 0) if source_id else 0)
        return mask.bit_count()

    def is_here(self, key: str) -> bool:
        """Whether an item, source or input failed in this run."""
        return key in self._here

    def item_of(self, source_id: str) -> str:
        """The item id that a failed source is known under; empty where it did not fail."""
        return self._item_of.get(source_id, "")

    def failure_of(self, item_id: str) -> Failure | None:
        """Why it failed the last time; None where it did not, or has a final result."""
        code = self._codes.get(item_id)
        return None if code is None else Failure(code, is_retriable=True)

    def _learn(self, row: Row) -> None:
        item_id, source_id, code, _ = row
        self._codes[item_id] = code or ""
        if source_id is not None:
            self._item_of[source_id] = item_id
