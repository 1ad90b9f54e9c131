"""Iceberg tables hold nothing of an erased person: no row, no bound in a manifest, no file of an older snapshot."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cardbeam.erasure.apply_plan import apply_plan
from cardbeam.erasure.drops import Drop
from cardbeam.erasure.plan import ErasurePlan, write_plan
from cardbeam.erasure.selection.policy import Kept
from cardbeam.storage.folder import LocalFolder
from pipeline.catalog.iceberg.erase import erase_from_catalog
from pipeline.catalog.iceberg.register import register
from pipeline.catalog.table_ddl import TABLES
from pipeline.catalog.views import connect
from pipeline.runs.recovery import close_unfinished_runs
from tests.byte_search import files_with
from tests.cardbeam.erasure.persons import NOW, numbers_and_uris, plan_of
from tests.pipeline.catalog.iceberg.test_register import open_sqlite
from tests.pipeline.catalog.killed_commits import Killed, killed_at
from tests.pipeline.nights import FIRST, HALF, SECOND, ledger_record, write_nights, write_run

_RUNS = [FIRST, SECOND, HALF]


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    """Three runs."""
    folder = write_nights(tmp_path / "nights")
    close_unfinished_runs(folder)
    return folder


def _erased(folder: LocalFolder) -> ErasurePlan:
    plan = plan_of(folder)
    write_plan(folder, plan)
    apply_plan(folder, plan, NOW)
    return plan


def _counts(catalog: Any) -> dict[str, int]:
    return {name: catalog.load_table(f"cards.{name}").scan().to_arrow().num_rows for name in TABLES}


def test_nothing_is_left(folder: LocalFolder, tmp_path: Path) -> None:
    """All other rows are there, and files that hold no erased person are not copied again."""
    catalog, texts = open_sqlite(tmp_path, "test"), numbers_and_uris(folder)
    register(catalog, "cards", folder, _RUNS)
    register(catalog, "cards", folder, _RUNS)
    warehouse = tmp_path / "warehouse"
    before = set(warehouse.rglob("*.parquet"))
    assert files_with(warehouse, texts)
    plan = _erased(folder)
    erase_from_catalog(catalog, "cards", folder, plan.run_ids)
    assert files_with(warehouse, texts) == {}
    views = connect(folder.root, only_tables=TABLES)
    assert _counts(catalog) == {name: len(views.sql(f'FROM "{name}"')) for name in TABLES}
    after = set(warehouse.rglob("*.parquet"))
    changed = {file.parts[-4] for file in (before | after) - (before & after)}
    assert changed == {"passport", "chip_id_card_front", "chip_id_card_back", "ledger"} & changed
    assert "driving_license" not in changed
    erase_from_catalog(catalog, "cards", folder, plan.run_ids)
    assert set(warehouse.rglob("*.parquet")) == after


def test_killed_at_any_commit(folder: LocalFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same call again leaves nothing, and no file that no snapshot names."""
    catalog, texts = open_sqlite(tmp_path, "test"), numbers_and_uris(folder)
    register(catalog, "cards", folder, _RUNS)
    plan, commit = _erased(folder), catalog.commit_table
    for number in range(1, 8):
        with monkeypatch.context() as broken:
            broken.setattr(catalog, "commit_table", killed_at(commit, number))
            try:
                erase_from_catalog(catalog, "cards", folder, plan.run_ids)
            except Killed:
                continue
    erase_from_catalog(catalog, "cards", folder, plan.run_ids)
    assert files_with(tmp_path / "warehouse", texts) == {}
    views = connect(folder.root, only_tables=TABLES)
    assert _counts(catalog) == {name: len(views.sql(f'FROM "{name}"')) for name in TABLES}


def test_thumbnails_alone(folder: LocalFolder, tmp_path: Path) -> None:
    """What `retain` drops of rows that stay is in no file of the tables, and no row is lost."""
    face = b"the face of a fictional person"
    info = {"id": "N-1", "image": base64.b64encode(face).decode()}
    answer = json.dumps({"errorCode": "0", "data": [{"type": "passport", "info": info}]}).encode()
    run_id = "20261124T010000Z"
    write_run(folder, run_id, [ledger_record(run_id, 0, ("s3://a/1",), response=answer)])
    catalog = open_sqlite(tmp_path, "test")
    register(catalog, "cards", folder, [*_RUNS, run_id])
    before = _counts(catalog)
    assert files_with(tmp_path / "warehouse", [face.decode()])
    drop = Drop(Kept.THUMBNAILS, NOW)
    plan = replace(plan_of(folder), item_ids=[], run_ids=[run_id], drops=[drop.as_json()])
    apply_plan(folder, plan, NOW)
    erase_from_catalog(catalog, "cards", folder, plan.run_ids)
    assert files_with(tmp_path, [face.decode()]) == {}
    assert _counts(catalog) == before
