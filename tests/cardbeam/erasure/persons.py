"""Three persons of the runs, and the plan that erases them."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import cache

from cardbeam.erasure.apply_plan import count_rows
from cardbeam.erasure.plan import ErasurePlan
from cardbeam.erasure.selection.select_items import Selection, select_items
from cardbeam.storage.folder import LocalFolder
from pipeline.catalog.views import connect

NOW = datetime(2026, 11, 25, tzinfo=timezone.utc)


def numbers_of(folder: LocalFolder) -> tuple[str, ...]:
    """The personal numbers of the first three persons on a passport."""
    return _numbers_in(folder.root)


def uris_of_persons(folder: LocalFolder) -> list[str]:
    """Where their images are."""
    return list(_uris_in(folder.root))


def numbers_and_uris(folder: LocalFolder) -> list[str]:
    """The texts by which they can be found."""
    return [*numbers_of(folder), *uris_of_persons(folder)]


@cache
def _numbers_in(root: str) -> tuple[str, ...]:
    """As they were when they were first asked for."""
    asked = "SELECT person_number FROM passport WHERE person_number <> '' ORDER BY ALL LIMIT 3"
    return tuple(number for (number,) in connect(root, only_tables=["passport"]).sql(asked).fetchall())


@cache
def _uris_in(root: str) -> tuple[str, ...]:
    asked = f"SELECT DISTINCT unnest(uris) FROM holders WHERE number IN {_numbers_in(root)} ORDER BY ALL"
    return tuple(uri for (uri,) in connect(root).sql(asked).fetchall())


def plan_of(folder: LocalFolder) -> ErasurePlan:
    """Their erasure."""
    found = select_items(folder, Selection(numbers=numbers_of(folder)))
    rows, run_ids = count_rows(folder, found.item_ids)
    return ErasurePlan(
        "20261125T000000Z-0123abcd", "now", "me", sorted(found.item_ids), sorted(run_ids), {"number_file": 3}, rows
    )
