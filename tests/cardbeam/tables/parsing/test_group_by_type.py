"""Answers wait for others of their type, within bounds; none is lost, and those of a type keep their order."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.tables.parsing.group_by_type import OTHER, ResponsesByType, by_type
from cardbeam.tables.parts.read_part import ledger_table
from tests.records import answered, hex_id

BODIES = {
    "passport": b'{"data": [{"type": "passport"}]}',
    "chip_id_card_back": b'{"data": [{"type":"chip_id_card_back"}, {"type" : "chip_id_card_back"}]}',
    OTHER: b'{"data": [{"type": "passport"}, {"type": "chip_id_card_back"}]}',
}
PendingRequest = list[tuple[str, list[str]]]


def sort(
    pieces: list[list[str]], *, enough_rows: int = 1000, enough_bytes: int = 10**9
) -> tuple[list[PendingRequest], PendingRequest]:
    """What each piece of answers of these types sets free, as types and item ids; and what is left at the end."""
    responses = ResponsesByType(enough_rows, enough_bytes)
    number = 0
    freed: list[PendingRequest] = []
    for piece in pieces:
        records = [answered(number + at, response=BODIES[name]) for at, name in enumerate(piece)]
        number += len(piece)
        freed.append([(name, rows["item_id"].to_pylist()) for name, rows in responses.add(ledger_table(records))])
    return freed, [(name, rows["item_id"].to_pylist()) for name, rows in responses.rest()]


def test_a_rare_type_waits_for_more() -> None:
    """What is common goes on at once, what is rare when there is enough of it, or at the end."""
    freed, left = sort([["passport", "passport", OTHER], ["passport", OTHER]], enough_rows=2)
    assert freed == [[("passport", [hex_id(0), hex_id(1)])], [(OTHER, [hex_id(2), hex_id(4)])]]
    assert left == [("passport", [hex_id(3)])]


def test_what_has_not_one_known_type_is_together() -> None:
    """Responses of several types, of none and of one that the contract does not have wait under one name."""
    bodies = [BODIES[OTHER], b"", b'{"data": [{"type": "library_card"}]}', BODIES["passport"]]
    found = by_type(pa.chunked_array([bodies], pa.binary()))
    assert {name: rows.tolist() for name, rows in found.items()} == {OTHER: [0, 1, 2], "passport": [3]}


def test_large_answers_do_not_wait() -> None:
    """Rows are enough by their bytes too."""
    freed, left = sort([["passport"], ["passport"]], enough_bytes=1)
    assert (freed, left) == ([[("passport", [hex_id(0)])], [("passport", [hex_id(1)])]], [])


@given(st.lists(st.lists(st.sampled_from(sorted(BODIES)), max_size=5), max_size=5), st.integers(1, 4))
def test_none_is_lost(pieces: list[list[str]], enough_rows: int) -> None:
    """Of any answers, all of a type come out under it, once and in order, and fewer than is enough wait."""
    freed, left = sort(pieces, enough_rows=enough_rows)
    numbered = list(enumerate(name for piece in pieces for name in piece))
    given = [one for some in [*freed, left] for one in some]
    for wanted in BODIES:
        found = [item_id for name, item_ids in given if name == wanted for item_id in item_ids]
        assert found == [hex_id(number) for number, name in numbered if name == wanted]
    assert all(len(item_ids) < enough_rows for _, item_ids in left)
