"""A sheet without an outline is turned until its print lies level, whichever way up it is; others stay as they are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from endpoint.imaging.decode import Pixels
from endpoint.imaging.rectify import rectify
from endpoint.imaging.skew import skew_of
from specimens.drawing.fonts import font
from tests.specimens.fonts import needs_fonts


def printed(clockwise: float, quarters: int = 0) -> Pixels:
    """Lines of print on a sheet, turned by so many degrees within it, and perhaps laid on a side."""
    image = Image.new("RGB", (1000, 630), (214, 226, 230))
    pen = ImageDraw.Draw(image)
    text, face = "Nơi thường trú: Phường Phúc Xá, Ba Đình, Hà Nội", font("liberation-sans", 32)
    for line in range(6):
        pen.text((120, 150 + 56 * line), text, (40, 44, 52), face)
    turned = image.rotate(-clockwise, Image.Resampling.BICUBIC, fillcolor=(214, 226, 230))
    return np.ascontiguousarray(np.rot90(np.asarray(turned), quarters))


@needs_fonts
@pytest.mark.parametrize("quarters", [0, 1, 2])
@pytest.mark.parametrize("degrees", [-12.0, -5.0, -0.25, 0.0, 5.0, 9.5])
def test_the_angle_of_print_is_found(degrees: float, quarters: int) -> None:
    assert skew_of(printed(degrees, quarters)) == pytest.approx(degrees if abs(degrees) > 0.5 else 0, abs=0.3)


@pytest.mark.parametrize(
    "sheet",
    [
        np.full((630, 1000, 3), 240, np.uint8),
        np.zeros((120, 100, 3), np.uint8),
        np.random.default_rng(7).integers(0, 256, (630, 1000, 3), dtype=np.uint8),
    ],
    ids=["white", "black", "noise"],
)
def test_what_has_no_lines_is_not_turned(sheet: Pixels) -> None:
    assert skew_of(sheet) == 0


@needs_fonts
def test_a_sheet_is_laid_level_and_its_places_are_known() -> None:
    sheet = printed(5.0)
    card = rectify(sheet, None)
    assert skew_of(card.pixels) == 0
    assert (card.outlined, card.cut) == (False, False)
    middle = np.array([[[card.pixels.shape[1] / 2, card.pixels.shape[0] / 2]]], dtype=np.float64)
    assert cv2.perspectiveTransform(middle, card.to_sheet).ravel() == pytest.approx([500, 315], abs=1)
