"""The cells of a machine-readable zone are cut where its glyphs stand, whatever else is printed beside them."""

from __future__ import annotations

from datetime import date

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from endpoint.imaging.decode import Pixels
from endpoint.mrz.classifier import GlyphClassifier
from endpoint.mrz.decode import Holder, read_zone
from endpoint.mrz.formats import FORMATS, TD1
from endpoint.mrz.locate import Band, zone_bands
from endpoint.mrz.segment import CELL_HEIGHT, CELL_WIDTH, zone_cells
from specimens.drawing.fonts import mrz_font
from specimens.drawing.mrz_lines import zone_lines
from tests.specimens.fonts import needs_fonts

pytestmark = needs_fonts
HOLDER = Holder(
    country="VNM",
    nationality="VNM",
    document_number="089582614",
    person_number="056089582614",
    dob=date(1989, 7, 4),
    due_date=date(2033, 6, 29),
    gender="M",
    sur_name="DANG",
    given_name="VAN BINH",
)


def card(lines: tuple[str, ...], *, left: float = 44, width: float = 920, marked: bool = False) -> Pixels:
    """A card's back with its zone from `left`, so wide, and perhaps a grey mark over the start of its first line."""
    pitch = width / len(lines[0])
    image = Image.new("L", (1000, 640), 235)
    pen = ImageDraw.Draw(image)
    if marked:
        pen.polygon([(20, 400), (180, 400), (330, 540), (90, 540)], fill=196)
    for line, text in enumerate(lines):
        for index, char in enumerate(text):
            at = (left + index * pitch, 500 + line * 50)
            pen.text(at, char, 40, mrz_font(round(pitch / 0.602)), anchor="ls")
    return np.asarray(cv2.GaussianBlur(np.asarray(image), (0, 0), 0.8), dtype=np.uint8)


def read(grey: Pixels, document_type: str) -> tuple[str, ...]:
    layout = FORMATS[document_type]
    cells = zone_cells(grey, zone_bands(grey), layout)
    assert cells is not None
    shape = (len(layout.masks), len(layout.masks[0]), -1)
    return read_zone(GlyphClassifier()(cells).reshape(shape), layout, date(2026, 11, 22)).lines


@pytest.mark.parametrize("document_type", sorted(FORMATS))
@pytest.mark.parametrize("marked", [False, True], ids=["plain", "marked"])
@pytest.mark.parametrize("left", [38, 41, 44.5, 47, 50])
def test_a_zone_is_read_wherever_it_stands(document_type: str, left: float, marked: bool) -> None:
    lines = zone_lines(HOLDER, document_type)
    for width in (905, 911, 917):
        assert read(card(lines, left=left, width=width, marked=marked), document_type) == lines


@pytest.mark.parametrize("document_type", sorted(FORMATS))
@pytest.mark.parametrize("marked", [False, True], ids=["plain", "marked"])
@pytest.mark.parametrize("left", [38, 41, 44.5, 47, 50])
def test_glyphs_stand_in_the_middle_of_their_cells(document_type: str, left: float, marked: bool) -> None:
    grey = card(zone_lines(HOLDER, document_type), left=left, width=911, marked=marked)
    layout = FORMATS[document_type]
    cells = zone_cells(grey, zone_bands(grey), layout)
    assert cells is not None
    inked = (cells > 0.5).reshape(len(layout.masks), -1, *cells.shape[1:])
    for line in inked:
        for part in (line[:8], line[-8:]):
            assert abs(centre(part.any(axis=1)) / CELL_WIDTH - 0.5) < 0.04
        assert abs(centre(line.any(axis=2)) / CELL_HEIGHT - 0.5) < 0.05


def centre(inked: np.ndarray) -> float:
    """The mean middle of what is inked in each row (n, length)."""
    ends = [(row.argmax(), len(row) - row[::-1].argmax()) for row in inked if row.any()]
    return float(np.mean(ends))


def test_a_zone_turned_a_little_is_read() -> None:
    lines = zone_lines(HOLDER, "chip_id_card_back")
    for degrees in (-0.6, 0.6):
        matrix = cv2.getRotationMatrix2D((500, 320), degrees, 1.0)
        grey = cv2.warpAffine(card(lines), matrix, (1000, 640), borderValue=235)
        assert read(np.asarray(grey, dtype=np.uint8), "chip_id_card_back") == lines


@pytest.mark.parametrize("document_type", sorted(FORMATS))
@pytest.mark.parametrize("degrees", [-1.2, -0.6, 0, 0.6])
@pytest.mark.parametrize("narrower_px", [10, 20])
def test_a_zone_laid_flat_by_a_wrong_side_is_read(document_type: str, degrees: float, narrower_px: int) -> None:
    """Its lines come closer, and its cells become narrower, from one end to the other."""
    lines = zone_lines(HOLDER, document_type)
    grey = card(lines)
    height, width = grey.shape
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    moved = corners + np.array([[0, 0], [0, narrower_px], [0, -narrower_px], [0, 0]], dtype=np.float32)
    laid = cv2.warpPerspective(grey, cv2.getPerspectiveTransform(corners, moved), (width, height), borderValue=235)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    turned = cv2.warpAffine(laid, turn, (width, height), borderValue=235)
    assert read(np.asarray(turned, dtype=np.uint8), document_type) == lines


def test_too_few_lines_are_no_zone() -> None:
    grey = card(zone_lines(HOLDER, "chip_id_card_back"))
    assert zone_cells(grey, zone_bands(grey)[:2], TD1) is None


def test_bands_without_glyphs_are_cut_all_the_same() -> None:
    blank = np.full((640, 1000), 235, dtype=np.uint8)
    cells = zone_cells(blank, [Band(460, 500), Band(510, 550), Band(560, 600)], TD1)
    assert cells is not None
    assert cells.shape == (90, 24, 16)


def test_a_letter_without_its_foot_is_not_surely_another() -> None:
    """As where the image's edge cuts the last line: "LE" becomes "UF", and no check digit covers names."""
    lines = zone_lines(HOLDER, "chip_id_card_back")
    layout = FORMATS["chip_id_card_back"]
    whole = card(lines)
    cut = whole.copy()
    cut[592:, :110] = 235
    sure = []
    for grey in (whole, cut):
        cells = zone_cells(grey, zone_bands(whole), layout)
        assert cells is not None
        sure.append(GlyphClassifier()(cells)[60:62].max(axis=1))
    assert (sure[0] > 0.9).all()
    assert (sure[1] <= 0.55).all()
