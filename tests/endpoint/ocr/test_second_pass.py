"""A value that cannot be whole is read in other views of its print, and the first that can be whole is said."""

from __future__ import annotations

import numpy as np
import pytest

from endpoint.imaging.decode import Pixels
from endpoint.ocr.card_templates import SIDES
from endpoint.ocr.engine import TextEngine, Word
from endpoint.ocr.label_matching import find_anchors, place_labels
from endpoint.ocr.second_pass import reread_low_confidence
from endpoint.ocr.text_lines import rows_of
from endpoint.ocr.values.expiry import UNDER_PORTRAIT, with_expiry
from endpoint.ocr.values.field_values import Labelled, read_fields
from tests.endpoint.ocr.values.test_field_values import words

SIDE = next(side for side in SIDES if side.document_type == "9_id_card_front")
CHIP = next(side for side in SIDES if side.document_type == "chip_id_card_front")
WHOLE = "Xã Nghi Sơn, Nghi Sơn, Thanh Hóa"
CARD = np.full((630, 1000), 235, np.uint8)


class Views(TextEngine):
    """Reads in turn what it is given, whatever it is shown."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)

    def line(self, grey: Pixels) -> list[Word]:
        """The next text."""
        return words((0, 0, self.texts.pop(0))) if self.texts else []

    def words(self, grey: Pixels) -> list[Word]:
        """The same, as if it were a page."""
        return self.line(grey)


@pytest.mark.parametrize(
    ("views", "value"),
    [
        (["Xã Nghĩ Sơn, Nghỉ Sơn, Thanh Hóa", WHOLE, "never read"], WHOLE),
        (["Gl", "Sơn", "Nghỉ"], "Xã Nghỉ Sơn, Nghỉ Sơn, Thanh Hóa"),
        ([], "Xã Nghỉ Sơn, Nghỉ Sơn, Thanh Hóa"),
    ],
)
def test_a_doubtful_value_is_replaced_by_a_reading_that_can_be_whole(views: list[str], value: str) -> None:
    rows = rows_of(words((300, 100, "Nguyên quán Xã Nghỉ Sơn, Nghỉ Sơn, Thanh Hóa")))
    sheet = Labelled(rows, place_labels(SIDE, rows, find_anchors(rows)))
    place = next(label for label in SIDE.labels if label.field == "hometown")
    side = type(SIDE)(SIDE.document_type, SIDE.phrases, (place,))
    first = read_fields(side, sheet)
    read = reread_low_confidence(Views(*views), CARD, side, sheet, first, is_doubtful=lambda _, text: text != WHOLE)
    assert read["hometown"].value == value


def test_a_value_below_a_heading_is_read_again_and_not_sought_beside_it() -> None:
    rows = rows_of(words((430, 78, "DẤU VẾT RIÊNG VÀ DỊ HÌNH"), (262, 112, "8eo chấm cách 2cm dưới cằm")))
    side = next(side for side in SIDES if side.document_type == "9_id_card_back")
    sheet = Labelled(rows, place_labels(side, rows, find_anchors(rows)))
    views = Views("Sẹo chấm cách 2cm dưới cằm")
    first = read_fields(side, sheet)
    read = reread_low_confidence(views, CARD, side, sheet, first, is_doubtful=lambda _, text: text[0].isdigit())
    assert read["identification_sign"].value == "Sẹo chấm cách 2cm dưới cằm"


def test_a_place_is_put_together_of_parts_that_views_read_and_never_said_surely() -> None:
    rows = rows_of(words((300, 100, "Nguyên quán Xã Nghỉ Sơn, Nghi Sơn, Thanh Hóa")))
    sheet = Labelled(rows, place_labels(SIDE, rows, find_anchors(rows)))
    place = next(label for label in SIDE.labels if label.field == "hometown")
    side = type(SIDE)(SIDE.document_type, SIDE.phrases, (place,))
    views = Views("Xã Nghi Sơn, Nghi Sdn, Thanh Hòa", "Xã Nghi Sơn", "Nghi", "Nghi", "Nghi")
    read = reread_low_confidence(
        views, CARD, side, sheet, read_fields(side, sheet), is_doubtful=lambda _, text: text != WHOLE
    )["hometown"]
    assert (read.value, read.agreed) == (WHOLE, False)


def test_the_day_of_expiry_is_read_under_the_portrait_without_its_label() -> None:
    read = with_expiry(Views("giá trị 01/11/2028"), CARD, CHIP, {})["due_date"]
    assert read.value == "01-11-2028"
    left, top, right, bottom = read.box
    assert (UNDER_PORTRAIT[0] * 1000 < left < right < 360) and (500 < top < bottom < 630)


def test_a_day_of_expiry_that_was_read_stays() -> None:
    read = with_expiry(Views("01/11/2028"), CARD, CHIP, {})
    assert with_expiry(Views("02/12/2030"), CARD, CHIP, read) == read


def test_where_no_date_stands_under_the_portrait_none_is_said() -> None:
    assert with_expiry(Views("Date of expiry"), CARD, CHIP, {}) == {}
