"""What stands at a label becomes a value in the contract's form, or nothing; never an error."""

from __future__ import annotations

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoint.ocr.card_templates import Value
from endpoint.ocr.values.value_parsing import parse


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        (Value.DATE, "04/07/1989", "04-07-1989"),
        (Value.DATE, ": 4-7-1989 .", "04-07-1989"),
        (Value.DATE, "08-1 0-1962", "08-10-1962"),
        (Value.DATE, "5 12/03/1990", "12-03-1990"),
        (Value.DATE, "Ngày 12 tháng 05 năm 2010", "12-05-2010"),
        (Value.DATE, "Hà Nội, ngày/date 12 tháng/month 05 năm/year 2018", "12-05-2018"),
        (Value.DATE, "Ngày/date 04 tháng/month 08 năn/year 2016", "04-08-2016"),
        (Value.DATE, "Ngãy/date 02 tháng/mọnth 10 2017", "02-10-2017"),
        (Value.DATE, "O4/O7/1989", "04-07-1989"),
        (Value.DATE, "Ngày 04 thắng 11 nắm 2018", "04-11-2018"),
        (Value.DATE, "Không thời hạn", "Không thời hạn"),
        (Value.DATE, "31/02/1989", None),
        (Value.DATE, "Nam", None),
        (Value.DIGITS, "Số: 062 089 982 314", "062089982314"),
        (Value.DIGITS, "O62089982314", "062089982314"),
        (Value.DIGITS, "Việt Nam", None),
        (Value.CODE, "B0780610", "B0780610"),
        (Value.CODE, "B 078O61O", "B0780610"),
        (Value.GENDER, "Nam / M", "nam"),
        (Value.GENDER, ": Nữ", "nữ"),
        (Value.GENDER, "NữỮ", "nữ"),
        (Value.GENDER, "Nationality", None),
        (Value.GENDER, "Năm", "nam"),
        (Value.GENDER, "Nguyễn", None),
        (Value.WORD, "VIỆT NAM / VIETNAMESE", "VIỆT NAM"),
        (Value.TEXT, " ĐẶNG VĂN BÌNH .", "ĐẶNG VĂN BÌNH"),
        (Value.TEXT, "ên: HOÀNG MỸ AN", "HOÀNG MỸ AN"),
        (Value.TEXT, " -- ", None),
        (Value.LINES, "origin: Xã Hưng Yên, An Biên", "Xã Hưng Yên, An Biên"),
        (Value.LINES, "Ấp 3: Xã Hưng Yên", "Ấp 3: Xã Hưng Yên"),
        (Value.LINES, "Xã Hòa Bình , Thường Tín", "Xã Hòa Bình, Thường Tín"),
        (Value.CLASS, "A1 B2", "A1 B2"),
        (Value.CLASS, "Al", "A1"),
        (Value.BLOOD, ": 0", "O"),
        (Value.BLOOD, "Ø", "O"),
        (Value.BLOOD, "Q", "O"),
        (Value.BLOOD, "A8", "AB"),
        (Value.BLOOD, "AB", "AB"),
        (Value.BLOOD, "máu", None),
    ],
)
def test_a_value_is_read_in_wire_form(value: Value, text: str, expected: str | None) -> None:
    parsed = parse(text, value)
    assert (parsed.value if parsed else None) == expected


@given(st.sampled_from(sorted(Value, key=lambda value: value.name)), st.text(max_size=60))
def test_any_text_gives_a_value_within_it_or_none(value: Value, text: str) -> None:
    parsed = parse(text, value)
    assert parsed is None or (0 <= parsed.start < parsed.stop <= len(text) and parsed.value)


@given(st.dates(min_value=date(1900, 1, 1), max_value=date(2100, 12, 31)))
def test_every_date_is_read_back(day: date) -> None:
    assert parse(f"{day:%d/%m/%Y}", Value.DATE).value == f"{day:%d-%m-%Y}"
    assert re.fullmatch(r"\d\d-\d\d-\d{4}", parse(f"ngày {day:%d} tháng {day:%m} năm {day:%Y}", Value.DATE).value)
