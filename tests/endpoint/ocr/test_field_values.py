"""A value is what stands right of its label or below it, and ends at the next label, a gap or another column."""

from __future__ import annotations

import pytest

from endpoint.ocr.card_templates import Label, Value
from endpoint.ocr.engine import Word
from endpoint.ocr.field_values import Labelled, read_fields, read_words
from endpoint.ocr.label_matching import best_template, find_anchors, place_labels
from endpoint.ocr.text_lines import rows_of


def words(*lines: tuple[int, int, str]) -> list[Word]:
    """Lines (left, top, text) as words 20 high, each letter 12 wide, a space 8; two spaces are a wide gap of 100."""
    made = []
    for left, top, text in lines:
        at = left
        for part in text.split(" "):
            if not part:
                at += 100
                continue
            made.append(Word(part, at, top, at + 12 * len(part), top + 20, 0.95))
            at += 12 * len(part) + 8
    return made


def read(*lines: tuple[int, int, str]) -> tuple[str, dict[str, str]]:
    rows = rows_of(words(*lines))
    anchors = find_anchors(rows)
    side, _ = best_template(anchors)
    readings = read_fields(side, Labelled(rows, place_labels(side, rows, anchors)))
    return side.document_type, {name: reading.value for name, reading in readings.items()}


CHIP = (
    (300, 20, "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM"),
    (300, 60, "CĂN CƯỚC CÔNG DÂN"),
    (300, 90, "Citizen Identity Card"),
    (300, 130, "Số / No.: 062089982314"),
    (300, 170, "Họ và tên / Full name:"),
    (300, 205, "ĐẶNG VĂN BÌNH"),
    (300, 240, "Ngày sinh / Date of birth: 04/07/1989"),
    (300, 280, "Giới tính / Sex: Nam  Quốc tịch / Nationality: Việt Nam"),
    (300, 320, "Quê quán / Place of origin:"),
    (300, 350, "Xã Hơ Moong, Sa Thầy, Kon Tum"),
    (300, 390, "Nơi thường trú / Place of residence: Số 12 Ngõ 8,"),
    (300, 420, "Xã Ia Lang, Đức Cơ, Gia Lai"),
    (30, 420, "Có giá trị đến: 29/06/2033"),
)
EXPECTED = {
    "id": "062089982314",
    "name": "ĐẶNG VĂN BÌNH",
    "dob": "04-07-1989",
    "gender": "nam",
    "nationality": "Việt Nam",
    "hometown": "Xã Hơ Moong, Sa Thầy, Kon Tum",
    "address": "Số 12 Ngõ 8, Xã Ia Lang, Đức Cơ, Gia Lai",
    "due_date": "29-06-2033",
}


def test_a_card_is_read_right_of_labels_and_below_them() -> None:
    assert read(*CHIP) == ("chip_id_card_front", EXPECTED)


def test_slips_in_labels_do_not_lose_their_values() -> None:
    slips = {"Họ và tên": "Ho va tén", "Ngày sinh": "Ngáy sính", "Quê quán": "Quê quăn", "Quốc tịch": "Quôc tich"}
    lines = [[left, top, text] for left, top, text in CHIP]
    for right, wrong in slips.items():
        lines = [[left, top, text.replace(right, wrong)] for left, top, text in lines]
    assert read(*lines) == ("chip_id_card_front", EXPECTED)


@pytest.mark.parametrize("lost", ["Số / No.: ", "Có giá trị đến: "])
def test_a_number_or_date_left_over_finds_its_field_without_a_label(lost: str) -> None:
    lines = [(left, top, text.replace(lost, "")) for left, top, text in CHIP]
    assert read(*lines)[1] == EXPECTED


def test_a_name_that_looks_like_a_label_is_no_label() -> None:
    nine = (
        (300, 20, "GIẤY CHỨNG MINH NHÂN DÂN"),
        (300, 60, "SỐ 709373757"),
        (300, 100, "Họ tên: NGUYỄN QUANG CHÂU"),
        (300, 150, "Sinh ngày: 07-08-1985"),
        (300, 200, "Nguyên quán: Phường Hưng Chiến, Bình Long, Bình"),
        (300, 230, "Phước"),
        (300, 300, "Nơi ĐKHK thường trú: Xóm Mới, Đồng Hới, Quảng Bình"),
    )
    assert read(*nine) == (
        "9_id_card_front",
        {
            "id": "709373757",
            "name": "NGUYỄN QUANG CHÂU",
            "dob": "07-08-1985",
            "hometown": "Phường Hưng Chiến, Bình Long, Bình Phước",
            "address": "Xóm Mới, Đồng Hới, Quảng Bình",
        },
    )


def test_a_place_that_looks_like_a_label_is_no_label() -> None:
    printed = "Phong Hải, Quảng Yên, Quảng Ninh"
    lines = [line for line in CHIP if line[1] not in (320, 350)]
    assert read(*lines, (300, 320, f"Quê quán: {printed}"))[1]["hometown"] == printed


def test_a_label_misread_is_no_value() -> None:
    lines = [(left, top, text.replace("Full name:", "")) for left, top, text in CHIP]
    misread = [(left + 250, top, "Eull aame") for left, top, text in CHIP if text.startswith("Họ và tên")]
    assert read(*lines, *misread)[1] == EXPECTED


def test_a_speck_far_from_the_margin_is_no_part_of_a_place() -> None:
    assert read(*CHIP, (900, 375, "Mỳ"))[1] == EXPECTED


def test_a_speck_beside_a_line_takes_no_word_of_it() -> None:
    speck = Word("*", 120, 322, 130, 332, 0.61)
    line = words((300, 320, "Đơn vị cấp: Quân đoàn 1"))
    (row,) = [row for row in rows_of([speck, *line]) if len(row.words) > 1]
    assert [word.text for word in row.words if word.text != "*"] == ["Đơn", "vị", "cấp:", "Quân", "đoàn", "1"]


def test_columns_are_kept_apart() -> None:
    passport = (
        (40, 20, "HỘ CHIẾU / PASSPORT"),
        (600, 20, "Số hộ chiếu / Passport No"),
        (600, 50, "B0780610"),
        (300, 90, "Ngày sinh / Date of birth"),
        (700, 90, "Nơi sinh / Place of birth"),
        (300, 120, "22/02/1955"),
        (700, 120, "Quảng Nam"),
        (300, 160, "Ngày cấp / Date of issue"),
        (700, 160, "Có giá trị đến / Date of expiry"),
        (300, 190, "02/07/2020"),
        (700, 190, "02/07/2030"),
        (300, 230, "Nơi cấp / Place of issue"),
        (300, 260, "Cục Quản lý xuất nhập cảnh"),
    )
    assert read(*passport) == (
        "passport",
        {
            "id": "B0780610",
            "dob": "22-02-1955",
            "place_of_birth": "Quảng Nam",
            "issue_date": "02-07-2020",
            "due_date": "02-07-2030",
            "issued_at": "Cục Quản lý xuất nhập cảnh",
        },
    )


def test_nothing_read_is_no_card() -> None:
    assert best_template(find_anchors(rows_of([])))[1] == 0.0
    assert best_template(find_anchors(rows_of(words((0, 0, "Hóa đơn bán hàng số 12 ngày 3")))))[1] < 0.3


def test_a_place_that_sounds_like_a_label_stays_in_the_value() -> None:
    document_type, found = read(
        (50, 50, "Ngày, tháng, năm sinh: 31/05/1961"),
        (50, 110, "Quê quán: Phường Thọ Sơn, Việt Trì, Phú Thọ"),
        (50, 200, "Nơi thường trú: Đội 7, Xã Kháng Nhật, Sơn Dương, Tuyên Quang"),
        (50, 300, "Đặc điểm nhận dạng: Sẹo chấm cách 2cm dưới trước đuôi mắt trái"),
        (50, 400, "Nhóm máu: AB"),
        (250, 570, "Có trách nhiệm giữ gìn Chứng minh quân nhân chuyên nghiệp"),
    )
    assert document_type == "military_id_card_back"
    assert found["address"] == "Đội 7, Xã Kháng Nhật, Sơn Dương, Tuyên Quang"
    assert found["hometown"] == "Phường Thọ Sơn, Việt Trì, Phú Thọ"


def test_a_place_whose_label_was_lost_is_found_between_its_neighbours() -> None:
    side, found = read(*(line for line in CHIP if not line[2].startswith("Quê quán")))
    assert (side, {field: found[field] for field in ("hometown", "address")}) == (
        "chip_id_card_front",
        {field: EXPECTED[field] for field in ("hometown", "address")},
    )


def test_an_issue_date_in_words_is_no_expiry_whose_label_was_lost() -> None:
    side, found = read(
        (300, 20, "GIẤY PHÉP LÁI XE / DRIVER'S LICENSE"),
        (30, 20, "BỘ GTVT"),
        (300, 60, "Số/No: 490087900396"),
        (300, 100, "Họ tên/Full name: NGUYỄN VĂN MẪU"),
        (300, 140, "Ngày sinh/Date of Birth: 27/05/1975"),
        (300, 180, "Nơi cư trú/Address: Phúc Xá, Ba Đình, Hà Nội"),
        (300, 300, "Ngày/date 13 tháng/month 12 năm/year 2016"),
    )
    assert side == "driving_license"
    assert (found["dob"], found["issue_date"], found.get("due_date")) == ("27-05-1975", "13-12-2016", None)


def test_a_value_before_a_misread_label_is_no_part_of_it() -> None:
    card = (
        (300, 60, "CĂN CƯỚC CÔNG DÂN"),
        (300, 130, "Số: 062089982314"),
        (300, 240, "Ngày, tháng, năm sinh: 04/07/1989"),
        (300, 280, "Giới tính: Nam Dân tộc: Mường quốc tch: Việt Nam"),
    )
    _, values = read(*card)
    assert (values["ethnicity"], values["nationality"]) == ("Mường", "Việt Nam")


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        ("thường túi 12 Ngõ 8, Xã Hoàng Vân", "12 Ngõ 8, Xã Hoàng Vân"),
        ("Nai cư Thôn Đông, Phường Thác Mơ", "Thôn Đông, Phường Thác Mơ"),
        ("thôn Đông, Phường Thác Mơ", "thôn Đông, Phường Thác Mơ"),
        ("Nguyễn Quang Bích, Phường Thác Mơ", "Nguyễn Quang Bích, Phường Thác Mơ"),
    ],
)
def test_what_is_left_of_a_label_is_no_part_of_a_place(printed: str, value: str) -> None:
    label = Label("address", Value.LINES, ("Nơi thường trú", "Nguyên quán", "Nơi cư trú"))
    reading = read_words(words((0, 0, printed)), label)
    assert reading is not None and reading.value == value
