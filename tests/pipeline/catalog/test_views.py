"""What is the newest, and what is still open, is told by time and place, whatever was copied, moved or touched."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

from cardbeam.storage.folder import LocalFolder
from pipeline.catalog.table_ddl import statements
from pipeline.catalog.views import connect
from tests.pipeline.nights import FIRST, SECOND, failure, ledger_record, write_run
from tests.pipeline.nights import HALF as THIRD

_NUMBER = "079300000001"
_SIDES = (("chip_id_card_front", {"id": _NUMBER}), ("chip_id_card_back", {"person_number": _NUMBER}))


def _answer(*documents: tuple[str, dict[str, str]]) -> bytes:
    data = [{"type": name, "info": info, "valid": "True"} for name, info in documents]
    return json.dumps({"errorCode": "0", "data": data}).encode()


def test_latest_of_copies(tmp_path: Path) -> None:
    """Two places that hold one image, and then another, have one newest answer, whichever of them went first."""
    folder = LocalFolder(str(tmp_path))
    for run_id, uris in ((FIRST, ("a.jpg", "b.jpg")), (SECOND, ("b.jpg", "a.jpg"))):
        first = ledger_record(run_id, 0, uris[:1], response=_answer(("passport", {"id": run_id})))
        copy = ledger_record(run_id, 1, uris[1:], item_id=first.item_id, outcome="duplicate", attempts=0)
        write_run(folder, run_id, [first, copy])
    connection = connect(folder.root)
    assert connection.sql("SELECT id, uris FROM latest_passport").fetchall() == [(SECOND, ["b.jpg", "a.jpg"])]
    newest = connection.sql("SELECT uri, run_id FROM latest_answers ORDER BY uri")
    assert newest.fetchall() == [("a.jpg", SECOND), ("b.jpg", SECOND)]


def test_latest_of_an_image_put_back(tmp_path: Path) -> None:
    """Where an image was replaced and is put back, its first answer is the newest, with the time of its own call."""
    folder = LocalFolder(str(tmp_path))
    first, second = (
        ledger_record(run_id, 0, ("a.jpg",), response=_answer(("passport", {"id": run_id})))
        for run_id in (FIRST, SECOND)
    )
    write_run(folder, FIRST, [first])
    write_run(
        folder, SECOND, [second, ledger_record(SECOND, 1, ("a.jpg",), item_id=first.item_id, outcome="duplicate")]
    )
    connection = connect(folder.root)
    assert connection.sql("SELECT id, run_id FROM latest_passport").fetchall() == [(FIRST, FIRST)]
    newest = connection.sql(
        "SELECT uri, item_id, called_at = (SELECT min(called_at) FROM passport) FROM latest_answers"
    )
    assert newest.fetchall() == [("a.jpg", first.item_id, True)]


def test_latest_of_an_unread_answer(tmp_path: Path) -> None:
    """Where an image is replaced by one whose answer holds no document, the former document is not the newest."""
    folder = LocalFolder(str(tmp_path))
    first = ledger_record(FIRST, 0, ("a.jpg",), response=_answer(("passport", {"id": "former"})))
    write_run(folder, FIRST, [first, ledger_record(FIRST, 1, ("b.jpg",), item_id=first.item_id, outcome="duplicate")])
    write_run(folder, SECOND, [ledger_record(SECOND, 0, ("a.jpg",), response=_answer(("new_card", {})))])
    connection = connect(folder.root)
    newest = connection.sql("SELECT uri, run_id FROM latest_answers ORDER BY uri")
    assert newest.fetchall() == [("a.jpg", SECOND), ("b.jpg", FIRST)]
    assert connection.sql("SELECT id FROM latest_passport").fetchall() == [("former",)]  # of b.jpg
    write_run(folder, THIRD, [ledger_record(THIRD, 0, ("b.jpg",), response=_answer())])
    assert connect(folder.root).sql("SELECT id FROM latest_passport").fetchall() == []


def test_latest_cards(tmp_path: Path) -> None:
    """`latest_cards` has the newest answer of each place, `cards` all."""
    folder = LocalFolder(str(tmp_path))
    for run_id in (FIRST, SECOND):
        write_run(folder, run_id, [ledger_record(run_id, 0, ("f.jpg", "b.jpg"), response=_answer(*_SIDES))])
    connection = connect(folder.root)
    assert connection.sql("SELECT run_id FROM cards ORDER BY 1").fetchall() == [(FIRST,), (SECOND,)]
    assert connection.sql("SELECT run_id, id FROM latest_cards").fetchall() == [(SECOND, _NUMBER)]


def test_latest_of_sides(tmp_path: Path) -> None:
    """Of a pair the front is the place: a back that goes with another front replaces nothing."""
    folder = LocalFolder(str(tmp_path))
    answer = _answer(*_SIDES)
    write_run(folder, FIRST, [ledger_record(FIRST, 0, ("f.jpg", "b.jpg"), response=answer)])
    write_run(folder, SECOND, [ledger_record(SECOND, 0, ("g.jpg", "b.jpg"), response=answer)])
    found = connect(folder.root).sql("SELECT uris FROM latest_chip_id_card_front ORDER BY ALL").fetchall()
    assert found == [(["f.jpg", "b.jpg"],), (["g.jpg", "b.jpg"],)]


def test_dead_letters_after_an_answer(tmp_path: Path) -> None:
    """A worse image in the place of an answered one is open; so is a failed one that was only touched since."""
    folder = LocalFolder(str(tmp_path))
    touched = failure(FIRST, 1, "b.jpg", "error_1", "no card", False)
    write_run(folder, FIRST, [ledger_record(FIRST, 0, ("a.jpg",), response=_answer(("passport", {}))), touched])
    again = ledger_record(SECOND, 1, ("b.jpg",), item_id=touched.item_id, outcome="duplicate", attempts=0)
    write_run(folder, SECOND, [failure(SECOND, 0, "a.jpg", "unreadable_image", "no image", False), again])
    found = connect(folder.root).sql("SELECT uris[1], run_id, code FROM dead_letters_open ORDER BY ALL").fetchall()
    assert found == [("a.jpg", SECOND, "unreadable_image"), ("b.jpg", FIRST, "error_1")]


def test_an_unread_answer(tmp_path: Path) -> None:
    """An answer that no table could take stays open until its image is replaced by one that is read."""
    folder = LocalFolder(str(tmp_path))
    write_run(folder, FIRST, [ledger_record(FIRST, 0, ("a.jpg",), response=_answer(("new_card", {})))])
    open_now = "SELECT code FROM dead_letters_open"
    assert connect(folder.root).sql(open_now).fetchall() == [("unknown_type",)]
    write_run(folder, SECOND, [ledger_record(SECOND, 0, ("a.jpg",), response=_answer(("passport", {})))])
    assert connect(folder.root).sql(open_now).fetchall() == []


def test_an_output_that_looks_like_a_partition(tmp_path: Path) -> None:
    """A folder above the output that is called as a column is hides none of its values."""
    folder = LocalFolder(str(tmp_path / "country=vn" / "run_id=mine"))
    write_run(folder, FIRST, [ledger_record(FIRST, 0, ("a.jpg",), response=_answer(("passport", {"country": "VNM"})))])
    message = [("VNM", FIRST)]
    assert connect(folder.root).sql("SELECT country, run_id FROM passport").fetchall() == message
    connection = duckdb.connect()
    connection.execute("; ".join(statements("duckdb", "cardbeam", folder.root, [])))
    assert connection.sql("SELECT country, run_id FROM cardbeam.passport").fetchall() == message


def test_places(tmp_path: Path) -> None:
    """Each URI has the labels, state and document types of what was seen there last; a renamed image has both URIs."""
    folder = LocalFolder(str(tmp_path))
    front, lost = ledger_record(FIRST, 0, ("a.jpg",), response=_answer(("passport", {}))), ("b.jpg",)
    pair = ledger_record(FIRST, 2, ("f.jpg", "g.jpg"), response=_answer(*_SIDES))
    write_run(folder, FIRST, [front, failure(FIRST, 1, *lost, "http_503", "busy", True), pair])
    renamed = ledger_record(
        SECOND, 0, ("c.jpg",), item_id=front.item_id, outcome="duplicate", labels=(("branch", "west"),)
    )
    write_run(folder, SECOND, [renamed, failure(SECOND, 1, *lost, "error_1", "no card", False)])
    found = connect(folder.root).sql(
        "SELECT uri, labels['branch'], state, code, types, run_id FROM places ORDER BY uri"
    )
    sides = ["chip_id_card_front", "chip_id_card_back"]
    assert found.fetchall() == [
        ("a.jpg", "north", "succeeded", None, ["passport"], FIRST),
        ("b.jpg", "south", "failed", "error_1", [], None),
        ("c.jpg", "west", "succeeded", None, ["passport"], FIRST),
        ("f.jpg", "north", "succeeded", None, sides, FIRST),
        ("g.jpg", "north", "succeeded", None, sides, FIRST),
    ]
