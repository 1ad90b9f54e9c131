"""Responses and thumbnails that are too old go from rows that stay; what is made of the rows again stays as it is."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from cardbeam.erasure.apply_plan import apply_plan, count_left
from cardbeam.erasure.drops import Drop, count_values, totals
from cardbeam.erasure.plan import ErasurePlan
from cardbeam.erasure.rows import ItemSet
from cardbeam.erasure.selection.policy import Kept
from cardbeam.erasure.thumbnails import without_thumbnails
from cardbeam.model.part import PartCounts
from cardbeam.model.record import JournalRecord
from cardbeam.run_state.layout import JOURNAL, LEDGER, of_run
from cardbeam.run_state.receipt import read_receipt
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import LocalFolder
from cardbeam.tables.parts.kept_rows import kept_rows
from cardbeam.tables.parts.part_plan import plan_parts
from tests.byte_search import files_with
from tests.cardbeam.erasure.mortal_folder import killed_at_each_step
from tests.cardbeam.erasure.persons import NOW
from tests.parts import read_part
from tests.pipeline.nights import FIRST, SECOND, failure, ledger_record, write_run
from tests.records import write_segment

_FACE = base64.b64encode(b"the face of a fictional person " * 9).decode()
_BEFORE_SECOND = datetime(2026, 11, 22, tzinfo=timezone.utc)
_ITEMS = tuple(f"{number}" * 32 for number in range(4))


def _answer(number: int, *types: str) -> bytes:
    info = {"id": f"N0000{number}", "image": _FACE}
    return json.dumps({"errorCode": "0", "data": [{"type": name, "info": info} for name in types]}).encode()


def _records(run_id: str) -> Iterator[JournalRecord]:
    """Two documents in one answer, one, none, an unknown type beside one, and a failure with what came of it."""
    for number, types in enumerate([("passport", "driving_license"), ("passport",), (), ("passport", "new_card")]):
        answer = _answer(number, *types)
        yield ledger_record(run_id, number, (f"s3://a/{number}",), item_id=_ITEMS[number], response=answer)
    yield structs.replace(failure(run_id, 9, "s3://a/9", "bad_reply", "No JSON", False), response=b"<html>N00009")


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    """The same images, answered in two runs."""
    folder = LocalFolder(str(tmp_path / "out"))
    for run_id in (FIRST, SECOND):
        write_run(folder, run_id, _records(run_id))
    return folder


def _applied(folder: LocalFolder, *drops: Drop) -> ErasurePlan:
    counts, run_ids = count_values(folder, drops)
    before = totals(zip(drops, counts, strict=True))
    held = [drop.as_json() for drop in drops]
    plan = ErasurePlan("20261125T000000Z-0123abcd", "now", "me", [], sorted(run_ids), {}, before, drops=held)
    return apply_plan(folder, plan, _BEFORE_SECOND)


def _read(folder: LocalFolder, run_id: str) -> dict[str, list[dict[str, Any]]]:
    """Rows of a run by table, but for what is dropped."""
    receipt = read_receipt(folder, run_id)
    assert receipt is not None
    found: dict[str, list[dict[str, Any]]] = {}
    for file in receipt.files:
        rows = pq.ParquetFile(Path(folder.root, file["path"])).read().to_pylist()
        found.setdefault(file["path"].rpartition("/run_id=")[0], []).extend(rows)
    return found


def _made(folder: LocalFolder) -> tuple[dict[str, Any], PartCounts]:
    """What publishing makes of the first run."""
    (part,) = plan_parts(folder, FIRST)
    tables, counts = read_part(folder, part)
    return tables, replace(counts, dead_letters=tuple(sorted(counts.dead_letters)))


def test_responses(folder: LocalFolder) -> None:
    """Of the first run alone, of failures too; documents, dead letters and counts are the same, read again too."""
    before, second = _read(folder, FIRST), _read(folder, SECOND)
    counts = read_receipt(folder, FIRST)
    made, made_counts = _made(folder)
    plan = _applied(folder, Drop(Kept.RESPONSES, _BEFORE_SECOND))
    assert (plan.run_ids, plan.before) == ([FIRST], {"responses": 5})
    assert count_left(folder, plan) == {"documents": 0, "dead_letters": 0, "ledger": 0, "responses": 0}
    after = _read(folder, FIRST)
    dropped = [
        {**row, "response": None, "code": "response_dropped" if row["outcome"] == "succeeded" else row["code"]}
        for row in before[LEDGER]
    ]
    assert after == {**before, LEDGER: dropped}
    assert _read(folder, SECOND) == second
    left = read_receipt(folder, FIRST)
    assert counts is not None
    assert left == replace(counts, files=left.files)  # type: ignore[union-attr]
    again, again_counts = _made(folder)
    by_key = {table: sorted(map(str, rows.to_pylist())) for table, rows in made.items() if table != LEDGER}
    assert {table: sorted(map(str, rows.to_pylist())) for table, rows in again.items() if table != LEDGER} == by_key
    assert again_counts == made_counts


def test_thumbnails(folder: LocalFolder) -> None:
    """Of one image in the first run, in both of its tables and in its response; nothing else is touched."""
    before, second = _read(folder, FIRST), _read(folder, SECOND)
    plan = _applied(folder, Drop(Kept.THUMBNAILS, _BEFORE_SECOND, ItemSet(_ITEMS[:1])))
    assert plan.before == {"thumbnails": 2}

    def without(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "image": None} if row["item_id"] == _ITEMS[0] else row

    expected = {table: [*map(without, rows)] if "type=" in table else rows for table, rows in before.items()}
    (first, *others) = before[LEDGER]
    expected[LEDGER] = [{**first, "response": first["response"].replace(_FACE.encode(), b"")}, *others]
    assert _read(folder, FIRST) == expected
    assert _read(folder, SECOND) == second
    made, _ = _made(folder)
    assert {row["image"] for row in made["documents/type=driving_license"].to_pylist()} == {None}


def test_all_of_them(folder: LocalFolder) -> None:
    """No byte of the output holds them."""
    later = datetime(2027, 1, 1, tzinfo=timezone.utc)
    _applied(folder, Drop(Kept.THUMBNAILS, later), Drop(Kept.RESPONSES, later))
    assert files_with(Path(folder.root), [_FACE, "the face of a fictional", "N00009", "N00002"]) == {}
    assert files_with(Path(folder.root), ["N00001"])


@pytest.mark.parametrize("is_behind", [False, True])
def test_killed_at_any_step(folder: LocalFolder, tmp_path: Path, is_behind: bool) -> None:
    """And carried out again: the same files as of one that was not killed."""
    drops = [Drop(Kept.RESPONSES, _BEFORE_SECOND), Drop(Kept.THUMBNAILS, NOW, ItemSet(_ITEMS[1:2]))]
    held = [drop.as_json() for drop in drops]
    plan = ErasurePlan(
        "20261125T000000Z-0123abcd", "now", "me", [], [FIRST, SECOND], {}, {}, policy="retention.toml", drops=held
    )
    assert killed_at_each_step(folder, plan, tmp_path, is_behind=is_behind) > 8


def test_in_a_journal_that_is_left(folder: LocalFolder) -> None:
    """What is old goes from it too, and the ledger is not read otherwise for it."""
    path = f"{of_run(JOURNAL, FIRST)}/late-000000.journal"
    write_segment(folder, path, _records(FIRST))
    _applied(folder, Drop(Kept.RESPONSES, _BEFORE_SECOND))
    assert b"N00001" not in folder.read(path)
    (part, *_) = plan_parts(folder, FIRST)
    _, counts = read_part(folder, part)
    assert (counts.answered, counts.failed, counts.without_row) == (4, 1, 1)


def test_what_is_kept_cannot_be_read(folder: LocalFolder) -> None:
    """The file is named, or the receipt that names it."""
    _applied(folder, Drop(Kept.RESPONSES, _BEFORE_SECOND))
    receipt = read_receipt(folder, FIRST)
    assert receipt is not None
    path = next(file["path"] for file in receipt.files if "type=passport" in file["path"])
    Path(folder.root, path).unlink()
    with pytest.raises(DamagedFile, match=f"^{path} is missing, and the responses"):
        list(kept_rows(folder, FIRST, _ITEMS))
    Path(folder.root, f"runs/{FIRST}/receipt.json").unlink()
    with pytest.raises(DamagedFile, match=f"^runs/{FIRST}/receipt.json is missing"):
        list(kept_rows(folder, FIRST, _ITEMS))


def test_columns_of_an_older_version(folder: LocalFolder) -> None:
    """A column that was added since is null."""
    _applied(folder, Drop(Kept.RESPONSES, _BEFORE_SECOND))
    receipt = read_receipt(folder, FIRST)
    assert receipt is not None
    path = next(file["path"] for file in receipt.files if "type=passport" in file["path"])
    rows = pq.ParquetFile(Path(folder.root, path)).read()
    pq.write_table(rows.drop_columns(["dob"]), Path(folder.root, path))
    found = dict(kept_rows(folder, FIRST, _ITEMS))["documents/type=passport"]
    assert (found.schema.names, len(found)) == (rows.schema.names, 3)
    assert found["dob"].null_count == 3


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["image", "id", "data"]), inner),
    max_leaves=12,
)


@given(held=_JSON, is_ascii=st.booleans())
def test_any_response(held: Any, is_ascii: bool) -> None:
    """Loses its thumbnails and nothing else, or is given up as a whole."""
    response = json.dumps(held, ensure_ascii=is_ascii).encode()
    left = without_thumbnails(response)
    if left is not None:
        assert json.loads(left) == _without(held)
        assert (left == response) == (json.loads(left) == held)


def _without(held: Any, *, is_thumbnail: bool = False) -> Any:
    if isinstance(held, dict):
        return {key: _without(one, is_thumbnail=is_thumbnail or key == "image") for key, one in held.items()}
    if isinstance(held, list):
        return [_without(one, is_thumbnail=is_thumbnail) for one in held]
    return "" if is_thumbnail and isinstance(held, str) else held


@pytest.mark.parametrize(
    ("response", "left"),
    [
        (b'{"data": [{"info": {"image": "a\\/b+c="}}]}', b'{"data": [{"info": {"image": ""}}]}'),
        (b'{"image": "a/b", "id": "a/b"}', None),
        (b'{"image": "\\u0061"}', None),
        (b'{"image": "a', None),
        (b'{"id": 1}', b'{"id": 1}'),
    ],
)
def test_a_response(response: bytes, left: bytes | None) -> None:
    """Is given up where a thumbnail is written otherwise, or stands elsewhere too."""
    assert without_thumbnails(response) == left


def test_times_are_those_of_the_rows(folder: LocalFolder) -> None:
    """A response that is as old as the age stays."""
    first = datetime(2026, 11, 21, 1, tzinfo=timezone.utc)
    assert count_values(folder, [Drop(Kept.RESPONSES, first)]) == ([0], set())
    assert count_values(folder, [Drop(Kept.RESPONSES, first + timedelta(microseconds=1))]) == ([1], {FIRST})
