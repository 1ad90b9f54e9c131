"""A value is as sure as the views of its print agree on it: no text is made, and none that one view alone says wins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from endpoint.imaging.decode import Pixels
from endpoint.ocr.agreement import with_agreement
from endpoint.ocr.calibration import AGREED, DISAGREED, calibrated
from endpoint.ocr.card_templates import SIDES
from endpoint.ocr.engine import TextEngine, Word
from endpoint.ocr.value_words import Reading, read_words
from tests.endpoint.ocr.values.test_field_values import words

SIDE = next(side for side in SIDES if side.document_type == "12_id_card_front")
CARD = np.full((630, 1000), 235, np.uint8)
LABELS = {label.field: label for label in SIDE.labels}


class Views(TextEngine):
    """Reads in turn what it is given."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)

    def line(self, grey: Pixels) -> list[Word]:
        """The next text."""
        return words((0, 0, self.texts.pop(0)))


def read(field: str, text: str, sure: float) -> Reading:
    found = read_words([replace(word, confidence=sure) for word in words((300, 100, text))], LABELS[field])
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("field", "text", "sure", "views", "value", "agreed"),
    [
        ("ethnicity", "Mường", 0.7, ["Mường", "Mường"], "Mường", True),
        ("ethnicity", "Mường", 0.7, ["Mương ơi", "Nùng"], "Mường", False),
        ("dob", "18/01/2000", 0.7, ["19/01/2000", "18/01/2000"], "18-01-2000", False),
        ("dob", "18/01/2000", 0.92, ["18/01/2000"], "18-01-2000", True),
        ("dob", "18/01/2000", 0.8, ["18/01/2000", "x"], "18-01-2000", False),
        ("dob", "18/01/2000", 0.97, [], "18-01-2000", None),
        ("dob", "18/01/2000", 0.3, [], "18-01-2000", None),
        ("name", "TRẦN NGỌC LAN", 0.9, ["TRẦN NGỌC LAN", "TRẦN NGỌC LÂN"], "TRẦN NGỌC LAN", False),
        ("name", "TRẦN NGỌC LAN", 0.9, ["TRẦN NGỌC LAN", "TRẦN NGỌC LAN", "x"], "TRẦN NGỌC LAN", None),
        ("name", "TRẦN NGỌC LAN", 0.7, [], "TRẦN NGỌC LAN", None),
        ("name", "TRẦN NGỌC HÃNG", 0.97, [], "TRẦN NGỌC HÃNG", False),
    ],
)
def test_views_bear_a_value_out_or_lower_it(
    field: str, text: str, sure: float, views: list[str], value: str, agreed: bool | None
) -> None:
    given = {field: read(field, text, sure)}
    found = with_agreement(Views(*views), CARD, SIDE, given, is_doubtful=lambda *_: False)
    assert (found[field].value, found[field].agreed) == (value, agreed)


def test_what_two_views_say_more_surely_is_said_instead_and_never_surely() -> None:
    given = {"dob": read("dob", "18/01/2000", 0.55)}
    found = with_agreement(Views("19/01/2000", "19/01/2000"), CARD, SIDE, given, is_doubtful=lambda *_: False)["dob"]
    assert (found.value, calibrated(found)) == ("19-01-2000", DISAGREED)


def test_agreement_moves_a_confidence() -> None:
    middling = read("dob", "18/01/2000", 0.7)
    sure = [calibrated(replace(middling, agreed=agreed)) for agreed in (False, None, True)]
    assert sure == sorted(sure) and sure[-1] == AGREED
