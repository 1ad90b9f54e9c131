"""A machine-readable zone whose check digits hold tells the type, and wins over the print of a passport."""

from __future__ import annotations

from datetime import date
from random import Random

import cv2
import numpy as np
import pytest

from endpoint.imaging.decode import Sheet
from endpoint.mrz.decode import Holder, Zone
from endpoint.ocr.card_templates import SIDES
from endpoint.ocr.engine import Word
from endpoint.ocr.value_words import Reading
from endpoint.reader.card_reader import CardReader
from endpoint.reader.gazetteer import Gazetteer
from endpoint.reader.response_fields import fill_info
from specimens.drawing.draw import Style, draw
from specimens.drawing.layouts import CHIP_BACK_2021, PASSPORT, Layout
from specimens.people import TUNING, someone
from tests.specimens.fonts import needs_fonts

GAZETTEER = Gazetteer()
SIDE = next(side for side in SIDES if side.document_type == "passport")
HOLDER = Holder(
    "VNM", "VNM", "N0034728", "066197928060", date(1997, 2, 1), date(2034, 3, 27), "F", "VU", "THI LAN"
)  # fmt: skip
ZONE = Zone(("", ""), HOLDER, checked=True, confidence=0.98)


def reading(text: str) -> Reading:
    """A value in one line."""
    words = tuple(Word(part, 100.0 * at, 200, 100.0 * at + 90, 225, 0.96) for at, part in enumerate(text.split()))
    return Reading(text, (100, 200, 300, 225), words)


@needs_fonts
@pytest.mark.parametrize("layout", [CHIP_BACK_2021, PASSPORT], ids=["chip back", "passport"])
def test_a_zone_tells_the_type_where_the_print_above_it_cannot_be_read(layout: Layout) -> None:
    specimen = draw(layout, someone(Random(3), GAZETTEER, TUNING), Style())
    pixels = np.array(specimen.image)
    above = slice(0, round((layout.zone_y or 0) * 1.3) - 20)
    pixels[above] = cv2.GaussianBlur(pixels[above], (0, 0), 9)
    (read,) = CardReader().read_sheet(Sheet(pixels, 1.0))
    assert (read.side.document_type, read.zone and read.zone.lines) == (specimen.document_type, specimen.zone)


def test_numbers_and_days_of_a_passport_are_its_zones() -> None:
    readings = {"id": reading("N0054728"), "dob": reading("11-02-1997"), "full_name": reading("Vũ Thị Lân")}
    info = fill_info(SIDE, readings, ZONE, GAZETTEER, to_sent=lambda box: box)
    given = {name: info[name] for name in ("id", "dob", "due_date", "person_number", "gender", "nationality")}
    assert given == {
        "id": "N0034728", "dob": "01-02-1997", "due_date": "27-03-2034", "person_number": "066197928060",
        "gender": "nữ", "nationality": "VIỆT NAM",
    }  # fmt: skip
    assert (info["full_name"], info["due_date_confidence"]) == ("Vũ Thị Lân", 0.99)
    assert float(str(info["dob_confidence"])) < 0.9


def test_a_name_that_the_zone_says_otherwise_is_doubted() -> None:
    sure = {
        name: fill_info(SIDE, {"full_name": reading(name)}, ZONE, GAZETTEER, to_sent=lambda box: box)
        for name in ("Vũ Thị Lân", "Vũ Thị Lành")
    }
    alike, other = (float(str(info["full_name_confidence"])) for info in sure.values())
    assert other < 0.6 * alike
