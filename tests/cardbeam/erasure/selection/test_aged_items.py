"""What is too old is found by the strictest rule that is about it, and by its newest answer or failure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardbeam.erasure.selection.aged_items import aged_items, dues_of
from cardbeam.erasure.selection.policy import Rule
from cardbeam.model.record import RecordStatus
from cardbeam.storage.folder import LocalFolder
from pipeline.catalog.table_ddl import TABLES
from pipeline.catalog.views import connect
from pipeline.runs.recovery import close_unfinished_runs
from tests.pipeline.nights import FIRST, HALF, SECOND, ledger_record, write_nights, write_run

_NOW = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)
"""The runs are 4, 3 and 2 days old, and some hours."""
_AGE_DAYS = {FIRST: 4, SECOND: 3, HALF: 2}


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> LocalFolder:
    """Three runs that have ended."""
    folder = write_nights(tmp_path_factory.mktemp("nights"))
    close_unfinished_runs(folder)
    return folder


def _items(folder: LocalFolder, asked: str) -> set[str]:
    only_tables = [table for table in TABLES if asked.startswith(table)] or None
    views = connect(folder.root, only_tables=only_tables)
    return {item_id for (item_id,) in views.sql(f"SELECT item_id FROM {asked}").fetchall()}


def _aged(folder: LocalFolder, rules: Sequence[Rule], *, read_alone: bool = False) -> dict[str, set[str]]:
    """The items that go as a whole, by rule."""
    dues = dues_of(rules)
    found: dict[str, set[str]] = {}
    for due, items in zip(dues, aged_items(folder, dues, _NOW, read_alone=read_alone), strict=True):
        found.setdefault(due.rule.name, set()).update(items)
    return found


def test_by_type_label_and_document(nights: LocalFolder) -> None:
    """Each rule has what no stricter one is about."""
    rules = (
        Rule("all", documents=4),
        Rule("passports", documents=3, types=("passport",)),
        Rule("north", documents=1, types=("driving_license",), labels=(("branch", "north"), ("branch", "nowhere"))),
        Rule("failed", dead_letters=2),
    )
    found = _aged(nights, rules)
    north = _items(nights, "driving_license WHERE labels['branch'] = 'north'")
    assert north
    assert found == {
        "all": _items(nights, f"documents WHERE run_id = '{FIRST}' AND type <> 'passport'") - north,
        "passports": _items(nights, f"passport WHERE run_id IN ('{FIRST}', '{SECOND}')"),
        "north": north,
        "failed": _items(nights, "dead_letters"),
    }
    alone = _aged(nights, rules, read_alone=True)
    assert alone == {**found, "failed": set()}


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_any_ages(nights: LocalFolder, days: list[int]) -> None:
    """Of rules about all images the strictest alone holds."""
    found = _aged(nights, [Rule(f"{n}", documents=age, dead_letters=age) for n, age in enumerate(days)])
    runs = [run_id for run_id, age in _AGE_DAYS.items() if age >= min(days)]
    listed = ", ".join(f"'{run_id}'" for run_id in runs) or "''"
    expected = _items(nights, f"ledger WHERE run_id IN ({listed})")
    assert set[str]().union(*found.values()) == found[f"{days.index(min(days))}"] == expected


def test_newest_of_several_runs(tmp_path: Path) -> None:
    """A failure that was retried, answered or put off later is as old as that; what was only put off has no age."""
    folder = LocalFolder(str(tmp_path))
    failed = {"outcome": RecordStatus.FAILED.value, "stage": "call", "code": "http_503", "retriable": True}
    deferred = {"outcome": RecordStatus.DEFERRED.value, "stage": "call", "code": "http_503"}
    first = [ledger_record(FIRST, n, (f"s3://a/{n}",), item_id=f"{n}" * 32, **failed) for n in range(4)]
    write_run(folder, FIRST, [*first, ledger_record(FIRST, 5, ("s3://a/5",), item_id="5" * 32, **deferred)])
    again = [(0, failed), (1, {"response": b"{}"}), (2, deferred)]
    write_run(
        folder, SECOND, [ledger_record(SECOND, n, (f"s3://a/{n}",), item_id=f"{n}" * 32, **as_) for n, as_ in again]
    )
    four, three = (Rule("all", documents=days, dead_letters=days) for days in (4, 3))
    assert _aged(folder, [four]) == {"all": {"3" * 32}}
    assert _aged(folder, [three]) == {"all": {f"{n}" * 32 for n in range(4)}}
    assert _aged(LocalFolder(str(tmp_path / "none")), [three]) == {"all": set()}
