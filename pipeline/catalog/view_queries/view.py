"""A view: its name, a comment for those who read the database, and its query in DuckDB's SQL."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class View:
    """One view over the tables."""

    name: str
    comment: str
    query: str
