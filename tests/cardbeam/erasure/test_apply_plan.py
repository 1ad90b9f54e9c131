"""A plan that is killed before any of its writes ends, carried out again, as one that was not: all other rows equal."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cardbeam.erasure.apply_plan import apply_plan
from cardbeam.erasure.plan import write_plan
from cardbeam.erasure.selection.select_items import Selection, select_items
from cardbeam.run_state.receipt import read_receipt
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import LocalFolder
from cardbeam.tables.check_output import check_output
from pipeline.catalog.views import connect
from pipeline.runs.recovery import close_unfinished_runs
from tests.byte_search import files_with
from tests.cardbeam.erasure.mortal_folder import killed_at_each_step
from tests.cardbeam.erasure.persons import NOW, numbers_and_uris, plan_of, uris_of_persons
from tests.pipeline.nights import FIRST, HALF, SECOND, write_nights


@pytest.fixture
def nights(tmp_path: Path) -> LocalFolder:
    """Three runs that have ended, with what names URIs beside them."""
    folder = write_nights(tmp_path / "nights")
    close_unfinished_runs(folder)
    folder.write(
        "runs/unpaired.json", json.dumps([[1.0, uris_of_persons(folder)[0]], [2.0, "s3://photos/other.jpg"]]).encode()
    )
    folder.write("index/2026/sources.bin", b"index")
    folder.write(f"documents/type=passport/run_id={FIRST}/.left.parquet.0.tmp", uris_of_persons(folder)[0].encode())
    return folder


def _rows(folder: LocalFolder, without: set[str]) -> dict[str, list[dict[str, Any]]]:
    """What the files that receipts name hold of other items, by table and run."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run_id in (FIRST, SECOND, HALF):
        receipt = read_receipt(folder, run_id)
        assert receipt is not None
        for file in receipt.files:
            rows = pq.ParquetFile(Path(folder.root, file["path"])).read().to_pylist()
            others = [row for row in rows if row["item_id"] not in without]
            found.setdefault(file["path"].rpartition("/")[0], []).extend(others)
            assert (file["rows"], file["bytes"]) == (len(rows), Path(folder.root, file["path"]).stat().st_size)
    return found


def test_nothing_is_left_of_them_and_all_else_is_equal(nights: LocalFolder) -> None:
    """Their numbers and URIs are in no byte of the output; receipts add up; the certificate says so."""
    plan, texts = plan_of(nights), numbers_and_uris(nights)
    others = _rows(nights, set(plan.item_ids))
    requests = {one: read_receipt(nights, one).requests for one in plan.run_ids}  # type: ignore[union-attr]
    assert files_with(Path(nights.root), texts)
    cost = "SELECT sum(calls), sum(succeeded), round(sum(cost), 6) FROM cost"
    paid = connect(nights.root).sql(cost).fetchall()
    write_plan(nights, plan)
    apply_plan(nights, plan, NOW)
    assert files_with(Path(nights.root), texts) == {}
    assert connect(nights.root).sql(cost).fetchall() == paid
    assert _rows(nights, set(plan.item_ids)) == others
    check_output(nights)
    for run_id, counts in requests.items():
        receipt = read_receipt(nights, run_id)
        assert receipt is not None
        erased = receipt.requests["erased"]
        assert erased
        assert receipt.requests == {**counts, "succeeded": counts["succeeded"] - erased, "erased": erased}
    (path,) = [file.path for file in nights.list("erasures")]
    certificate = json.loads(nights.read(path))
    assert certificate["rows_after"] == {"documents": 0, "dead_letters": 0, "ledger": 0}
    assert (certificate["rows_before"], certificate["selected_by"]) == (plan.before, {"number_file": 3})
    assert [file.path for file in nights.list("index")] == []
    assert json.loads(nights.read("runs/unpaired.json")) == [[2.0, "s3://photos/other.jpg"]]


def test_what_a_policy_leaves_to_newer_images(nights: LocalFolder) -> None:
    """A URI stays where it waits to be processed, for the image there is another one by now; it goes elsewhere."""
    waiting, retries = nights.read("runs/unpaired.json"), [[1.0, uris_of_persons(nights)[0]]]
    nights.write("runs/retries.json", json.dumps(retries).encode())
    nights.write("runs/20261124T010000Z/pending.json", json.dumps(retries).encode())
    apply_plan(nights, replace(plan_of(nights), policy="retention.toml"), NOW)
    assert nights.read("runs/unpaired.json") == waiting
    assert json.loads(nights.read("runs/20261124T010000Z/pending.json")) == retries
    assert json.loads(nights.read("runs/retries.json")) == []


@pytest.mark.parametrize(("is_behind", "policy"), [(False, ""), (True, ""), (False, "retention.toml")])
def test_killed_at_any_step(nights: LocalFolder, tmp_path: Path, is_behind: bool, policy: str) -> None:
    """Whoever goes on leaves the same files, byte for byte."""
    plan = replace(plan_of(nights), policy=policy)
    assert killed_at_each_step(nights, plan, tmp_path, is_behind=is_behind) > 12


def test_a_file_of_another_program(nights: LocalFolder) -> None:
    """Is named, and nothing is erased."""
    pq.write_table(pa.table({"a": [1]}), Path(nights.root, f"ledger/run_id={FIRST}/other.parquet"))
    with pytest.raises(DamagedFile, match=f"^ledger/run_id={FIRST}/other.parquet has no column"):
        select_items(nights, Selection(item_ids=("0" * 32,)))


def test_who_is_found(nights: LocalFolder) -> None:
    """By item, URI and label the same persons as by number; an image of several persons leads to no other."""
    view = connect(nights.root)
    (item_id, number, uri, customer), *_ = view.sql(
        "SELECT item_id, person_number, uris[1], labels['customer_id'] FROM passport "
        "WHERE person_number IN (SELECT id FROM chip_id_card_front) ORDER BY ALL"
    ).fetchall()
    by_number = select_items(nights, Selection(numbers=(f"{number[:6]} {number[6:]}",))).item_ids
    assert len(by_number) > 1
    assert item_id in by_number
    by_uri = select_items(nights, Selection(uris=(uri,))).item_ids
    assert select_items(nights, Selection(item_ids=(item_id,))).item_ids <= by_uri
    assert by_number <= by_uri | by_number
    assert item_id in select_items(nights, Selection(labels=(("customer_id", customer),))).item_ids
    shared, *_ = view.sql("SELECT item_id FROM chip_id_card_back WHERE person_number = '000000000000'").fetchall()
    found = select_items(nights, Selection(item_ids=shared))
    assert (found.item_ids, found.shared) == (set(shared), set(shared))
    assert select_items(nights, Selection(item_ids=("0" * 32,))).item_ids == set()
