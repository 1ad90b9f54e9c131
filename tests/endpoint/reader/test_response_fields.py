"""Readings become the contract's fields: places gain codes and keep their print, a zone fills what print left empty."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoint.ocr.card_templates import SIDES, Label, Side
from endpoint.ocr.engine import Word
from endpoint.ocr.value_words import Box, Reading, read_words
from endpoint.ocr.values.spelling import corrected
from endpoint.reader.gazetteer import Gazetteer
from endpoint.reader.response_fields import fill_info
from schemas.documents import DOCUMENTS

GAZETTEER = Gazetteer()
PLACED = {
    name: next(label for side in SIDES for label in side.labels if label.field == name)
    for name in ("hometown", "address")
}
UNITS = [
    f"{ward.name}, {district.name}, {province.name}"
    for province in GAZETTEER.provinces[:20]
    for district in province.parts[:3]
    for ward in district.parts[:3]
]


def line(text: str) -> list[Word]:
    """A line of print as the page pass gives it."""
    words, at = [], 100.0
    for part in text.split():
        words.append(Word(part, at, 200, at + 12 * len(part), 225, 0.95))
        at += 12 * len(part) + 8
    return words


def same(box: Box) -> Box:
    return box


def info_of(document_type: str, **printed: str) -> dict[str, object]:
    labels: dict[str, Label] = {label.field: label for side in SIDES for label in side.labels}
    found = {name: read_words(line(text), PLACED.get(name, labels[name])) for name, text in printed.items()}
    readings: dict[str, Reading] = {name: reading for name, reading in found.items() if reading}
    side = next(side for side in SIDES if side.document_type == document_type)
    return fill_info(side, readings, None, GAZETTEER, to_sent=same)


def test_a_name_within_a_place_is_no_kind_of_place() -> None:
    """A slip in the first word, and one that is like "Nguyên quán", do not make "Thị" the beginning."""
    slip = "ahường Nguyễn Thị Minh Khai, Thành Phố Bắc Kạn, Tỉnh Bắc Kạn"
    assert info_of("12_id_card_front", hometown=slip)["hometown"] == slip


@given(st.sampled_from(UNITS), st.sampled_from(("Tổ 5, ", "Số 12 Ngõ 8, ", "")), st.data())
def test_a_place_is_said_as_it_is_printed_whatever_the_gazetteer_knows(
    units: str, street: str, data: st.DataObject
) -> None:
    printed = street + units
    at = data.draw(st.integers(0, len(printed) - 1))
    slip = (
        printed[:at] + data.draw(st.sampled_from("aăâeêioôơuưy")) + printed[at + 1 :]
        if printed[at].isalpha()
        else printed
    )
    info = info_of("12_id_card_front", hometown=slip, address=printed)
    assert info["hometown"] == corrected("hometown", slip)
    assert info["address"] == printed


@pytest.mark.parametrize("printed", ["Phường Hồ, Thuận Thành, Bắc Ninh", "Không Đâu, Thuận Thành, Bắc Ninh"])
def test_codes_stand_beside_the_print_and_are_minus_one_where_unknown(printed: str) -> None:
    info = info_of("chip_id_card_front", hometown=printed)
    known = printed.startswith("Phường")
    assert {name: info[f"hometown_{name}"] for name in ("town", "district", "ward")} == {
        "town": "Tỉnh Bắc Ninh",
        "district": "Thị xã Thuận Thành",
        "ward": "Phường Hồ" if known else "",
    }
    assert [info[f"hometown_{name}_code"] for name in ("town", "district", "ward")] == [
        "27",
        "262",
        "9400" if known else "-1",
    ]


@pytest.mark.parametrize("side", SIDES, ids=lambda side: side.document_type)
def test_with_nothing_read_every_field_is_there_and_all_but_fixed_print_is_empty(side: Side) -> None:
    info = fill_info(side, {}, None, GAZETTEER, to_sent=same)
    assert list(info) == [field.name for field in DOCUMENTS[side.document_type]]
    assert {name: value for name, value in info.items() if value not in ("", "-1", 0.0, [])} == dict(side.fixed)
