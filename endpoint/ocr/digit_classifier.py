"""The number of a card, digit by digit: cut into glyphs, each classified by a small network.

Tesseract's language model reads the flat-topped 3 of red numbers as a 5. A number has no language, so each glyph is
judged by its own shape. `python -m specimens.training.train_digits` trains the network from installed fonts.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import cv2
import numpy as np
import numpy.typing as npt

from endpoint.imaging.decode import Pixels
from endpoint.mrz.classifier import normalised
from endpoint.mrz.segment import CELL_HEIGHT, CELL_WIDTH, CellImages
from endpoint.ocr.value_words import Box

WEIGHTS = "digits.npz"
DIGITS = "0123456789"
ZOOM = 2
PAD = 0.25
"""Room around the number's box, in its heights."""
MIN_HEIGHT = 0.68
"""Height of a digit in that of the tallest glyph; what is lower is a dot, a dash or a speck."""
BLEED_PX = 1
"""So far beyond the ink of a digit, enlarged, its blur is still its own."""
GLUED = 1.35
"""A glyph so much wider than the usual one is two that touch."""


@dataclass(frozen=True, slots=True)
class Number:
    """Digits as read, and how sure each is, 0 to 1."""

    digits: str
    confidence: tuple[float, ...]


class DigitReader:
    """Two dense layers over cells of 24 by 16; opened from the package's own data."""

    def __init__(self) -> None:
        with (files("endpoint") / "data" / WEIGHTS).open("rb") as opened, np.load(opened) as stored:
            self._layers = [stored[name].astype(np.float32) for name in ("w1", "b1", "w2", "b2")]

    def read(self, card: Pixels, box: Box) -> Number | None:
        """The digits within a box of an aligned card in RGB; None where no row of glyphs is found."""
        cells = cut_digits(card, box)
        if cells is None:
            return None
        sure = self._probabilities(cells)
        best = sure.argmax(axis=1)
        return Number("".join(DIGITS[index] for index in best), tuple(float(value) for value in sure.max(axis=1)))

    def _probabilities(self, cells: CellImages) -> npt.NDArray[np.float32]:
        w1, b1, w2, b2 = self._layers
        scores = np.maximum(normalised(cells) @ w1 + b1, 0) @ w2 + b2
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def cut_digits(card: Pixels, box: Box) -> CellImages | None:
    """Ink of each digit, left to right, as cells (n, 24, 16) of 0 to 1. Red print is darkest in the green channel."""
    left, top, right, bottom = box
    pad = PAD * (bottom - top)
    y0, y1 = max(0, int(top - pad)), min(card.shape[0], int(bottom + pad) + 1)
    x0, x1 = max(0, int(left - pad)), min(card.shape[1], int(right + pad) + 1)
    if y1 - y0 < 8 or x1 - x0 < 16:
        return None
    green = np.ascontiguousarray(card[y0:y1, x0:x1, 1])
    large = np.asarray(cv2.resize(green, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    _, mask = cv2.threshold(large, 0, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    glyphs = _glyphs(np.asarray(mask, dtype=np.uint8))
    if not glyphs:
        return None
    paper = float(np.percentile(large, 80))
    ink = np.clip((paper - large.astype(np.float32)) / max(1.0, paper - float(np.percentile(large, 2))), 0, 1)
    return np.stack([_cell(ink, glyph) for glyph in glyphs])


def _glyphs(mask: Pixels) -> list[tuple[int, int, int, int]]:
    """Left, top, width and height of each digit's ink; two that touch are parted in their middle."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    shapes = [tuple(int(value) for value in row[:4]) for row in stats[1:]]
    shapes = [shape for shape in shapes if shape[3] < 0.98 * mask.shape[0] or shape[2] < shape[3]]
    if not shapes:
        return []
    tallest = sorted(shape[3] for shape in shapes)[-min(3, len(shapes))]
    tall = sorted(shape for shape in shapes if MIN_HEIGHT * tallest <= shape[3] <= 1.3 * tallest)
    widths = sorted(shape[2] for shape in tall)
    usual = widths[len(widths) * 2 // 3]
    parted: list[tuple[int, int, int, int]] = []
    for left, top, width, height in tall:
        count = max(1, round(width / usual)) if width > GLUED * usual else 1
        step = width // count
        parted += [(left + index * step, top, step, height) for index in range(count)]
    return parted


def _cell(ink: npt.NDArray[np.float32], glyph: tuple[int, int, int, int]) -> CellImages:
    """A digit with its own height made that of the cell; a 1 stays narrow."""
    left, top, width, height = glyph
    scale = (CELL_HEIGHT - 4) / height
    map_x, map_y = np.meshgrid(
        (np.arange(CELL_WIDTH) + 0.5 - CELL_WIDTH / 2) / scale + left + width / 2 - 0.5,
        (np.arange(CELL_HEIGHT) + 0.5 - CELL_HEIGHT / 2) / scale + top + height / 2 - 0.5,
    )
    alone = np.zeros_like(ink)  # a 1 is narrow: its neighbours would come into its cell
    own = slice(max(0, left - BLEED_PX), left + width + BLEED_PX)
    alone[:, own] = ink[:, own]
    remapped = cv2.remap(alone, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_AREA)
    return np.asarray(remapped, dtype=np.float32)
