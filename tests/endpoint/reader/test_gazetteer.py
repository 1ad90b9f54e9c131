"""A printed place finds its units only where exactly one set of units fits, and never changes."""

from __future__ import annotations

import pytest

from endpoint.ocr.values.normalize import plain
from endpoint.reader.gazetteer import Gazetteer, Located


@pytest.fixture(scope="module")
def gazetteer() -> Gazetteer:
    return Gazetteer()


def codes(located: Located) -> tuple[str, str, str]:
    return tuple(unit.code if unit else "-1" for unit in (located.town, located.district, located.ward))


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("Phường Hồ, Thuận Thành, Bắc Ninh", ("27", "262", "9400")),
        ("Số 12 Ngõ 4, Phường Kim Mã, Ba Đình, Hà Nội", ("1", "1", "28")),
        ("Phường 4, Quận 8, Hồ Chí Minh", ("79", "776", "27409")),
        ("XÃ HÒA BÌNH, THƯỜNG TÍN, HÀ NỘI", ("1", "279", "10198")),
        (
            "Xã Cẩm Sơn, Cai Lậy, Tiền Giang",
            ("82", "820", "28489"),
        ),  # two districts of that name; the ward processes it
        ("Cai Lậy, Tiền Giang", ("82", "-1", "-1")),
        ("Không Đâu, Thuận Thành, Bắc Ninh", ("27", "262", "-1")),
        ("Phường Hồ, Không Đâu, Bắc Ninh", ("27", "-1", "-1")),
        ("Bắc Ninh", ("27", "-1", "-1")),
        ("70 Nguyễn Sỹ Sách, Phường Tân Sơn, Hồ Chí Minh", ("79", "-1", "27007")),  # since July 2025, without districts
        ("Phường Ba Đình, Hà Nội", ("1", "-1", "4")),  # a ward of 2025 with the name of a former district
        ("Ba Đình, Hà Nội", ("1", "1", "-1")),
        ("Phường Không Đâu, Hà Nội", ("1", "-1", "-1")),
        ("Atlantis", ("-1", "-1", "-1")),
        ("", ("-1", "-1", "-1")),
        (" , ,", ("-1", "-1", "-1")),
    ],
)
def test_a_place_has_the_codes_of_what_it_names(
    gazetteer: Gazetteer, printed: str, expected: tuple[str, str, str]
) -> None:
    assert codes(gazetteer.locate(printed)) == expected


def test_wards_that_differ_only_in_tone_marks_are_told_apart(gazetteer: Gazetteer) -> None:
    found = [gazetteer.locate(f"{ward}, Sa Pa, Lào Cai").ward for ward in ("Phường Sa Pa", "Phường Sa Pả")]
    assert [unit.name if unit else None for unit in found] == ["Phường Sa Pa", "Phường Sa Pả"]


def test_no_unit_of_the_gazetteer_is_taken_for_another(gazetteer: Gazetteer) -> None:
    wrong = [
        ward.name
        for province in gazetteer.provinces
        for district in province.parts
        for ward in district.parts
        if codes(gazetteer.locate(f"{ward.name}, {district.name}, {province.name}"))
        != (province.code, district.code, ward.code)
    ]
    assert wrong == []


def test_no_unit_since_2025_is_taken_for_another(gazetteer: Gazetteer) -> None:
    wrong = [
        ward.name
        for province in gazetteer.provinces_2025
        for ward in province.parts
        if codes(gazetteer.locate(f"Thôn Đông, {ward.name}, {province.name}")) != (province.code, "-1", ward.code)
    ]
    assert wrong == []


def test_plain_text_has_neither_marks_nor_case() -> None:
    assert plain("Đặng  Thị-Hồng, Ý") == "dang thi hong y"
