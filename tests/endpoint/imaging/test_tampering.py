"""Each warning is raised by the images it is meant for, and by no good one."""

from __future__ import annotations

from random import Random

import cv2
import numpy as np
import pytest

from endpoint.imaging.decode import open_sheets
from endpoint.imaging.rectify import rectify
from endpoint.imaging.tampering import quality_flags
from endpoint.reader.card_reader import candidate_layouts
from endpoint.reader.gazetteer import Gazetteer
from endpoint.reader.warning_codes import is_number_12, warnings_of
from specimens.drawing.disturb import CONDITIONS, disturbed
from specimens.drawing.draw import Style, draw
from specimens.drawing.layouts import LAYOUTS
from specimens.people import TUNING, someone
from tests.specimens.fonts import needs_fonts

pytestmark = needs_fonts


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(name for name, condition in CONDITIONS.items() if condition.warning != "3"))
def test_an_image_shows_the_sign_of_its_condition_and_no_other(name: str) -> None:
    gazetteer, expected = Gazetteer(), CONDITIONS[name].warning
    for index in (0, 6):
        random = Random(f"{name}/{index}")
        specimen = draw(LAYOUTS[index], someone(random, gazetteer, TUNING), Style(scale=1.1))
        image, _ = disturbed(specimen, CONDITIONS[name], random)
        (sheet,) = open_sheets(image)
        card = next(card for cards in candidate_layouts(sheet.pixels) for card in cards)
        found = quality_flags(sheet.pixels, card)
        assert found == ({expected} if expected else set()), LAYOUTS[index].document_type


def test_pixels_without_anything_on_them_raise_no_screen_or_corner_sign() -> None:
    white = np.full((630, 1000, 3), 240, np.uint8)
    assert quality_flags(white, rectify(white, None)) <= {"2"}


@pytest.mark.parametrize(
    ("number", "dob", "gender", "right"),
    [
        ("001085900001", "04-07-1985", "nam", True),
        ("001185900001", "04-07-1985", "nữ", True),
        ("001205900001", "04-07-2005", "nam", True),
        ("001085900001", "", "", True),
        ("001085900001", "04-07-1986", "nam", False),
        ("001085900001", "04-07-1985", "nữ", False),
        ("003085900001", "04-07-1985", "nam", False),
        ("00108590000", "04-07-1985", "nam", False),
    ],
    ids=["man", "woman", "born after 2000", "nothing else read", "year", "gender", "no such province", "short"],
)
def test_a_number_is_checked_against_what_else_is_printed(number: str, dob: str, gender: str, right: bool) -> None:
    assert is_number_12(number, dob, gender) == right
    info = {"id": number, "dob": dob, "gender": gender, "id_confidence": 0.98, "dob_confidence": 0.95}
    is_said = not right and len(number) == 12  # one of another length was misread
    assert warnings_of("chip_id_card_front", info, frozenset()) == (("3",) if is_said else ())


def test_an_unsure_number_raises_no_warning_and_codes_come_worst_first() -> None:
    info = {"id": "001085900001", "dob": "04-07-1986", "gender": "", "id_confidence": 0.9, "dob_confidence": 0.95}
    assert warnings_of("chip_id_card_front", info, frozenset("61")) == ("1", "6")
    assert warnings_of("chip_id_card_front", info | {"dob_confidence": 0.5, "id_confidence": 1.0}, frozenset()) == ()
    assert warnings_of("chip_id_card_front", info | {"id_confidence": 0.98}, frozenset("61")) == ("1", "3", "6")


@pytest.mark.parametrize(("spoiled", "expected"), [("lit", False), ("clipped", True)])
def test_a_lamp_that_shines_on_a_corner_and_on_the_film_around_it_clips_nothing(spoiled: str, expected: bool) -> None:
    film, card = (226, 230, 232), (150, 214, 160)
    sheet = np.full((700, 1000, 3), (120, 100, 84), np.uint8)
    left, top, right, bottom = 150, 130, 850, 570
    sheet[top - 26 : bottom + 26, left - 26 : right + 26] = film
    sheet[top:bottom, left:right] = card
    if spoiled == "lit":
        spot = np.zeros(sheet.shape[:2], np.float32)
        cv2.circle(spot, (right - 10, top + 10), 70, 0.95, -1)
        share = np.asarray(cv2.GaussianBlur(spot, (0, 0), 16))[..., None]
        sheet = (sheet * (1 - share) + 255 * share).astype(np.uint8)
    else:
        cv2.fillPoly(sheet, [np.array([[right - 75, top], [right, top], [right, top + 75]])], film)
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float64)
    assert ("5" in quality_flags(sheet, rectify(sheet, corners))) == expected
