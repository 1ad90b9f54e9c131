"""Letters beside a value that no pass has read are read again; where they cannot be, the value is half as sure."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from endpoint.imaging.decode import Pixels
from endpoint.ocr.card_templates import SIDES
from endpoint.ocr.engine import TextEngine, Word
from endpoint.ocr.label_matching import find_anchors, place_labels
from endpoint.ocr.lost_words import letters_in, with_lost_words
from endpoint.ocr.text_lines import rows_of
from endpoint.ocr.values.field_values import Labelled, read_fields
from tests.endpoint.ocr.values.test_field_values import words

SIDE = next(side for side in SIDES if side.document_type == "12_id_card_front")


class Says(TextEngine):
    """Reads one text in whatever it is shown that is so tall, and nothing in the rest."""

    def __init__(self, text: str, from_px: int = 0) -> None:
        self.text, self.from_px = text, from_px

    def line(self, grey: Pixels) -> list[Word]:
        """The text."""
        return words((0, 0, self.text)) if grey.shape[0] >= self.from_px else []


def card(*, letters_at: int | None) -> Pixels:
    grey = np.full((630, 1000), 235, np.uint8)
    if letters_at is not None:
        cv2.putText(grey, "HANG", (letters_at, 124), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 30, 2)
    return grey


@pytest.mark.parametrize(
    ("letters_at", "says", "value", "is_lowered"),
    [
        (None, "never read", "NGUYỄN THU", False),
        (640, "NGUYỄN THU HẰNG", "NGUYỄN THU HẰNG", False),
        (640, "NGUYỄN THU", "NGUYỄN THU", True),
    ],
)
def test_letters_after_a_name_are_read_or_doubted(
    letters_at: int | None, says: str, value: str, is_lowered: bool
) -> None:
    rows = rows_of(words((300, 100, "Họ và tên: NGUYỄN THU")))
    sheet = Labelled(rows, place_labels(SIDE, rows, find_anchors(rows)))
    first = read_fields(SIDE, sheet)
    found = with_lost_words(Says(says), card(letters_at=letters_at), SIDE, sheet, first)["name"]
    lowest = min(word.confidence for word in found.words)
    assert (found.value, lowest < 0.6) == (value, is_lowered)


def test_a_line_that_one_view_does_not_show_is_read_in_another() -> None:
    rows = rows_of(words((300, 100, "Họ và tên: NGUYỄN THU")))
    sheet = Labelled(rows, place_labels(SIDE, rows, find_anchors(rows)))
    says = Says("NGUYỄN THU HẰNG", from_px=60)
    found = with_lost_words(says, card(letters_at=640), SIDE, sheet, read_fields(SIDE, sheet))["name"]
    assert found.value == "NGUYỄN THU HẰNG"


def test_shapes_are_counted_that_stand_on_the_line() -> None:
    assert letters_in(card(letters_at=640), (630, 100, 760, 125)) == 4
    assert letters_in(card(letters_at=640), (630, 60, 760, 85)) == 0
    assert letters_in(card(letters_at=None), (630, 100, 760, 125)) == 0
