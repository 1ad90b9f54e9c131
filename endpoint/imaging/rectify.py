"""Sheet, corners -> the card laid flat, 1000 pixels wide, with the way back to the sheet's pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from endpoint.imaging.decode import Pixels
from endpoint.imaging.geometry import Corners, sides
from endpoint.imaging.skew import skew_of

CARD_PX = 1000
"""Width of an aligned card."""
MAX_TALL, MAX_SQUASHED = 2, 4
"""Whole sheets: taller ones than twice their width are made narrower, to be as large, and the tallest are squashed."""
INSET_PX = 4
"""Cut off all around: slivers of background make Leptonica complain and Tesseract see text."""


@dataclass(frozen=True, slots=True)
class RectifiedCard:
    """A card laid flat: RGB pixels, and the 3x3 homography from them to pixels of the sheet.

    `outlined`: its four edges are known; otherwise it is the whole sheet. `cut`: some of it is outside the image.
    `sheet` is what it was laid flat from, for what needs more than its pixels.
    """

    pixels: Pixels
    to_sheet: npt.NDArray[np.float64]
    outlined: bool
    sheet: Pixels
    cut: bool = False

    def part(self, box: tuple[float, float, float, float], zoom: float) -> Pixels:
        """What is between left, top, right and bottom, so many times as large, from the sheet's own pixels."""
        left, top, right, bottom = box
        size = (max(1, round((right - left) * zoom)), max(1, round((bottom - top) * zoom)))
        to_card = np.array([[1 / zoom, 0, left], [0, 1 / zoom, top], [0, 0, 1]], dtype=np.float64)
        how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        found = cv2.warpPerspective(
            self.sheet, self.to_sheet @ to_card, size, flags=how, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(found, dtype=np.uint8)


def rectify(sheet: Pixels, corners: Corners | None, *, cut: bool = False) -> RectifiedCard:
    """The card between the corners, long side across; without corners the whole sheet, narrower where it is very tall.

    A whole sheet is turned so that its print lies level. What of it or of a `cut` card is then outside the image
    becomes as its middle is: a smear of the rim's pixels looks like print.
    """
    outlined, askew = corners is not None, 0.0
    if corners is None:
        askew = skew_of(sheet)
        corners = _whole(sheet, askew)
    across, down = sides(corners)
    tall = min(float(MAX_SQUASHED), down / max(1.0, across))
    width_px = round(CARD_PX * (MAX_TALL / max(MAX_TALL, tall)) ** 0.5)
    height_px = max(1, round(width_px * tall))
    inset = INSET_PX if outlined else 0
    right, bottom = width_px + inset, height_px + inset
    target = np.array([[-inset, -inset], [right, -inset], [right, bottom], [-inset, bottom]])
    to_sheet = cv2.getPerspectiveTransform(target.astype(np.float32), corners.astype(np.float32))
    source, moved = _around(sheet, corners, blur_px=0.4 * across / width_px)
    to_part = np.array([[1, 0, -moved[0]], [0, 1, -moved[1]], [0, 0, 1]], dtype=np.float64) @ to_sheet
    size, how = (width_px, height_px), cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_CONSTANT if cut or askew else cv2.BORDER_REPLICATE
    usual = np.median(source[::8, ::8], axis=(0, 1)).tolist()
    pixels = cv2.warpPerspective(source, to_part, size, flags=how, borderMode=border, borderValue=usual)
    flat = np.asarray(pixels, dtype=np.uint8)
    return RectifiedCard(flat, np.asarray(to_sheet, dtype=np.float64), outlined, sheet, cut)


def _whole(sheet: Pixels, askew: float) -> Corners:
    """The sheet's own rectangle, turned around its middle by so many degrees: a card that filled it fills it again."""
    height, width = sheet.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64)
    cosine, sine = np.cos(np.deg2rad(askew)), np.sin(np.deg2rad(askew))
    middle = corners.mean(axis=0)
    return np.asarray((corners - middle) @ np.array([[cosine, sine], [-sine, cosine]]) + middle)


def _around(sheet: Pixels, corners: Corners, *, blur_px: float) -> tuple[Pixels, tuple[int, int]]:
    """The part of the sheet that holds the corners, smoothed if it will be shrunk, and where its origin is."""
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 8, 0)
    high = np.ceil(corners.max(axis=0)).astype(int) + 8
    part = sheet[low[1] : high[1], low[0] : high[0]]
    if blur_px > 0.64:
        part = np.asarray(cv2.GaussianBlur(part, (0, 0), blur_px), dtype=np.uint8)
    return np.ascontiguousarray(part), (int(low[0]), int(low[1]))


def turned(card: RectifiedCard, quarters: int) -> RectifiedCard:
    """The same card turned by quarter turns counter-clockwise."""
    pixels, to_sheet = card.pixels, card.to_sheet
    for _ in range(quarters % 4):
        width = pixels.shape[1]
        pixels = np.rot90(pixels)
        # a point (x, y) of the turned image was at (width - 1 - y, x)
        to_sheet = to_sheet @ np.array([[0, -1, width - 1], [1, 0, 0], [0, 0, 1]], dtype=np.float64)
    return replace(card, pixels=np.ascontiguousarray(pixels), to_sheet=to_sheet)


def to_source_box(
    card: RectifiedCard, scale: float, box: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """A box on the aligned card -> the upright box around it on the image sent, `scale` sent pixels a sheet pixel."""
    left, top, right, bottom = box
    corners = np.array([[[left, top]], [[right, top]], [[right, bottom]], [[left, bottom]]], dtype=np.float64)
    mapped = cv2.perspectiveTransform(corners, card.to_sheet).reshape(-1, 2) * scale
    (left, top), (right, bottom) = mapped.min(axis=0), mapped.max(axis=0)
    return float(left), float(top), float(right), float(bottom)
