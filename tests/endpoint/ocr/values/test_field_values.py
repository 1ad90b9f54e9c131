"""A value is what stands right of its label or below it, and ends at the next label, a gap or another column."""

from __future__ import annotations

from dataclasses import replace

import pytest

from endpoint.ocr.card_templates import SIDES, Label, Value
from endpoint.ocr.engine import Word
from endpoint.ocr.label_matching import best_template, find_anchors, place_labels, side_by_title, side_by_words
from endpoint.ocr.text_lines import rows_of
from endpoint.ocr.value_words import read_words
from endpoint.ocr.values.field_values import Labelled, read_fields


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


def test_a_value_begins_left_of_the_half_of_its_label_that_was_told() -> None:
    lines = [(left, top, text.replace("Họ và tên", "H~ w ian")) for left, top, text in CHIP]
    assert read(*lines) == ("chip_id_card_front", EXPECTED)


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


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        ("Nơi theag 4 Khu phố 2, Xã Bản Hồ, Sa Pa, Lào Cai", "Khu phố 2, Xã Bản Hồ, Sa Pa, Lào Cai"),
        ("TH mại Tổ 5, Xã Bản Hồ, Sa Pa, Lào Cai", "TH mại Tổ 5, Xã Bản Hồ, Sa Pa, Lào Cai"),
        ("p Xã Bản Hồ, Sa Pa, Lào Cai", "Xã Bản Hồ, Sa Pa, Lào Cai"),
        ("Hòa Bình, Xã Bản Hồ, Sa Pa", "Hòa Bình, Xã Bản Hồ, Sa Pa"),
        ("Xã Bản Hồ, Sa Pa, Lào Cai ‡", "Xã Bản Hồ, Sa Pa, Lào Cai"),
    ],
)
def test_a_place_begins_with_its_kind_where_a_label_is_left_before_it(printed: str, value: str) -> None:
    line = [replace(word, confidence=0.3) if word.text in ("4", "theag") else word for word in words((0, 0, printed))]
    reading = read_words(line, Label("address", Value.LINES, ("Nơi thường trú", "Place of residence")))
    assert reading is not None and reading.value == value


def test_a_label_half_as_tall_as_its_value_loses_no_line_below_it() -> None:
    small = [replace(word, bottom=word.top + 8) for word in words((300, 300, "Quê quán / Place oi ñ"))]
    junk = [replace(word, confidence=0.2) if word.text in ("oi", "ñ") else word for word in small]
    rows = rows_of([*words((300, 60, "CĂN CƯỚC CÔNG DÂN")), *junk, *words((300, 322, "Xã Tập Sơn, Trà Cú, Trà Vinh"))])
    side = next(side for side in SIDES if side.document_type == "chip_id_card_front")
    found = read_fields(side, Labelled(rows, place_labels(side, rows, find_anchors(rows))))
    assert found["hometown"].value == "Xã Tập Sơn, Trà Cú, Trà Vinh"


def test_a_name_like_a_short_label_and_a_place_like_the_end_of_one_stay_in_their_values() -> None:
    _, licence = read(
        (300, 20, "GIẤY PHÉP LÁI XE / DRIVER'S LICENSE"),
        (300, 60, "Số/No: 490087900396"),
        (300, 100, "Họ tên/Full name: HOÀNG THU HẰNG"),
        (300, 140, "Ngày sinh/Date of Birth: 27/05/1975"),
        (60, 300, "Hạng/Class: B2"),
    )
    _, nine = read(
        (300, 20, "GIẤY CHỨNG MINH NHÂN DÂN"),
        (300, 60, "SỐ 709373757"),
        (300, 150, "Sinh ngày: 07-08-1985"),
        (300, 200, "Nguyên qu Xã Vĩnh Quang, Bảo Lâm, Cao Bằng"),
    )
    assert (licence["name"], licence["class"]) == ("HOÀNG THU HẰNG", "B2")
    assert nine["hometown"] == "Xã Vĩnh Quang, Bảo Lâm, Cao Bằng"


def test_two_places_without_labels_are_told_apart_by_their_lines() -> None:
    lines = (
        (400, 60, "CĂN CƯỚC CÔNG DÂN"),
        (416, 223, "037302988568"),
        (330, 300, "NGUYỄN MỸ DŨNG"),
        (330, 441, "Phường Tây Sơn, Tam Điệp, Ninh Bình"),
        (596, 473, "Số 12 Ngõ 8, Xã Tích Thiện, Trà"),
        (330, 505, "Ôn, Vĩnh Long"),
    )
    rows = rows_of(words(*lines))
    side = next(side for side in SIDES if side.document_type == "chip_id_card_front")
    found = read_fields(side, Labelled(rows, place_labels(side, rows, find_anchors(rows))))
    assert {name: found[name].value for name in ("name", "hometown", "address")} == {
        "name": "NGUYỄN MỸ DŨNG",
        "hometown": "Phường Tây Sơn, Tam Điệp, Ninh Bình",
        "address": "Số 12 Ngõ 8, Xã Tích Thiện, Trà Ôn, Vĩnh Long",
    }


def test_a_distinguishing_mark_is_known_by_its_words() -> None:
    _, back = read(
        (250, 40, "Petsonel Sẹo chấm cách 2cm dưới trước đuôi mắt trái"),
        (430, 190, "Ngày 05 tháng 03 năm 2022"),
        (330, 236, "CỤC TRƯỞNG CỤC CẢNH SÁT ĐKQL CƯ TRÚ VÀ DLQG VỀ DÂN CƯ"),
        (40, 40, "Ngón trỏ trái"),
    )
    assert back["identification_sign"] == "Sẹo chấm cách 2cm dưới trước đuôi mắt trái"


@pytest.mark.parametrize(
    ("lines", "document_type"),
    [
        (((400, 75, "CĂN CƯỚC CÔNG DÂN"), (400, 150, "060300912648")), "12_id_card_front"),
        (((400, 180, "CĂN CƯỚC CÔNG DÂN"), (400, 240, "060300912648")), "chip_id_card_front"),
        (((400, 95, "GIẤY PHÉP LÁI XE / DRIVER'S LICENSE"), (400, 150, "316244373978")), "driving_license"),
        (((400, 95, "căn cước công dân do Cục cấp ngày"), (400, 150, "060300912648")), None),
        (((400, 95, "CĂN CƯỚC CÔNG DÂN"), (400, 150, "0603")), None),
    ],
)
def test_a_title_alone_on_its_line_with_a_number_below_tells_the_type(
    lines: tuple[tuple[int, int, str], ...], document_type: str | None
) -> None:
    rows = rows_of(words((400, 30, "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM"), *lines))
    side = side_by_title(rows, find_anchors(rows))
    assert (side and side.document_type) == document_type


@pytest.mark.parametrize(
    ("mark", "is_back"), [("Nữ rưỗi cách 1cm trên sau mép nhải", True), ("Điều 3 của Thông tư này", False)]
)
def test_a_mark_above_who_signs_tells_the_back_of_a_12_digit_card(mark: str, is_back: bool) -> None:
    rows = rows_of(words((262, 79, mark), (450, 158, "Ngày 05 thiẳng 03 nãm 2022"), (330, 190, "CỤC TRƯỞNG CÁMH SÁT")))
    side = side_by_words(rows, find_anchors(rows))
    assert (side is not None and side.document_type == "12_id_card_back") == is_back
