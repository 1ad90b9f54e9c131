"""What lacks a part that it must have is doubtful; what is whole is not, however it is written."""

from __future__ import annotations

from datetime import date

import pytest

from endpoint.reader.doubts import is_doubtful, is_misread
from endpoint.reader.gazetteer import Gazetteer

GAZETTEER = Gazetteer()


@pytest.mark.parametrize(
    ("document_type", "field", "whole", "doubtful"),
    [
        ("chip_id_card_front", "name", "NGUYỄN VĂN MẪU", "MINH MẪU"),
        ("passport", "full_name", "Lê Mỹ Thảo", "MỸ THẢO"),
        ("chip_id_card_front", "hometown", "Phúc Xá, Ba Đình, Hà Nội", "Ba Đình, Hà Nôi"),
        ("chip_id_card_front", "address", "Tổ 5, Phường Phúc Xá, Ba Đình, Hà Nội", "Phúc Xá, Ba Định, Hà Nội"),
        ("9_id_card_front", "address", "Xã Nghi Sơn, Nghi Sơn, Thanh Hóa", "Xã Nghỉ Sơn, Nghỉ Sơn, Thanh Hóa"),
        ("9_id_card_front", "hometown", "Trần Đề, Trần Đề, Sóc Trăng", "Trần Đề, Trần Đề, Sóc. Trăng"),
        ("chip_id_card_front", "nationality", "Việt Nam", "Nam"),
        ("12_id_card_front", "ethnicity", "Kinh", "inh"),
        ("9_id_card_back", "religious", "Thiên chúa", "chúa"),
        ("9_id_card_back", "issued_at", "CA TỈNH BÌNH ĐỊNH", "TỈNH BÌNH ĐỊNH"),
        ("9_id_card_back", "issued_at", "CÔNG AN TP CẦN THƠ", "CÔNG AN TP CÂN THƠ"),
        (
            "12_id_card_back", "issued_at",
            "CỤC CẢNH SÁT ĐKQL CƯ TRÚ VÀ DLQG VỀ DÂN CƯ", "CỤC CẢNH SÁT ĐKQL CƯ VÀ DLQG VỀ c",
        ),
        ("12_id_card_back", "issued_at", "CỤC CẢNH SÁT ĐKQL CƯ TRÚ VÀ DLQG VỀ DÂN CƯ", "CỤC CẢNH SÁT"),
        ("12_id_card_front", "address", "Khu phố 2, Pú Nhung, Tuần Giáo, Điện Biên", "KhU phố 2, Pú Nhung, Điện Biên"),
        ("12_id_card_back", "identification_sign", "Sẹo chấm cách 2cm dưới cằm", "2cm dưới cằm"),
        ("passport", "place_of_birth", "Cần Thơ", "Cân Thơ"),
        ("12_id_card_back", "identification_sign", "Sẹo chấm cách 1,5cm", "cách 1,5cm trên đầu lông mày trái"),
        ("12_id_card_back", "identification_sign", "Nốt ruồi", "Nốt | ruồi"),
    ],
)  # fmt: skip
def test_what_lacks_a_part_is_doubtful(document_type: str, field: str, whole: str, doubtful: str) -> None:
    assert not is_doubtful(document_type, field, whole, GAZETTEER)
    assert is_doubtful(document_type, field, doubtful, GAZETTEER)


@pytest.mark.parametrize(("field", "is_past"), [("dob", True), ("issue_date", True), ("due_date", False)])
def test_a_day_to_come_is_none_of_birth_or_issue(field: str, is_past: bool) -> None:
    today = date(2026, 11, 30)
    assert is_doubtful("driving_license", field, "01-12-2026", GAZETTEER, today=today) is is_past
    assert not is_doubtful("driving_license", field, "30-11-2026", GAZETTEER, today=today)


@pytest.mark.parametrize(("value", "is_to_come"), [("31-02-2000", False), ("99-13-2999", True), ("00-00-0000", False)])
def test_a_day_that_no_month_has_is_compared_like_any(value: str, is_to_come: bool) -> None:
    """A code may hold one: it is no error of the reader."""
    assert is_doubtful("passport", "dob", value, GAZETTEER, today=date(2026, 11, 30)) is is_to_come


def test_a_place_with_an_apostrophe_of_its_own_is_not_doubtful() -> None:
    assert not is_doubtful("9_id_card_front", "hometown", "Xã Hưng Bình, Đắk R'Lấp, Đắk Nông", GAZETTEER)


@pytest.mark.parametrize(
    ("number", "dob", "gender", "misread"),
    [
        ("055194905585", "04-07-1994", "nữ", True),
        ("035194905585", "04-07-1994", "nữ", False),
        ("001083900001", "04-07-1983", "nam", False),
        ("001085900001", "04-07-1983", "nam", True),
        ("001085900001", "04-07-1986", "nam", False),
        ("00108590000", "04-07-1983", "nam", False),
    ],
    ids=["no such province", "right", "no five", "year", "another year", "short"],
)
def test_a_five_that_must_be_a_three_is_a_misread_number(number: str, dob: str, gender: str, misread: bool) -> None:
    assert is_misread(number, dob, gender) == misread
