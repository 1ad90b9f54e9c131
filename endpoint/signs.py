"""Pixels of a card -> signs that it is no good original: off a screen, a photocopy, clipped, partly outside.

Each sign is one number with a threshold far from what good specimens measure: a false alarm is worse than a miss.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from endpoint.find_card import CARD_PX, SEARCH_PX, Aligned, channels
from endpoint.pictures import Pixels

Plane = npt.NDArray[np.float32]
PATCH_PX = 128
FINEST = 0.18
"""Lowest frequency looked at for a screen's dots, cycles a pixel: print and patterns are coarser."""
SCREEN_PEAK = 4.0
"""Good specimens measured up to 2.9, ones off a screen from 5.3."""
PHOTOCOPY_CHROMA = 3.1
"""Good specimens measured from 3.5, photocopies up to 2.7 but for a few that show the table."""
CLIPPED_SHARE = 0.65
"""Good specimens measured up to 0.14, clipped ones from 0.98."""
OUTSIDE_SHARE = 0.10
"""Good specimens measured 0, those partly outside the picture from 0.7."""


def signs_of(sheet: Pixels, card: Aligned) -> frozenset[str]:
    """The contract's warning codes that the pixels show."""
    middle = cv2.perspectiveTransform(np.array([[[CARD_PX / 2, card.pixels.shape[0] / 2]]]), card.to_sheet).ravel()
    found = {
        "1": screen_peak(card) > SCREEN_PEAK,
        "2": chroma_left(card) < PHOTOCOPY_CHROMA,
        "5": clipped_share(sheet, card) > CLIPPED_SHARE,
        "6": outside_share(sheet, (float(middle[0]), float(middle[1]))) > OUTSIDE_SHARE,
    }
    return frozenset(code for code, shown in found.items() if shown)


def screen_peak(card: Aligned) -> float:
    """How far the strongest fine periodic pattern stands out, in times of the spectrum around it; 2 is usual.

    Spectra of many patches are averaged: print differs between them, a screen's dots do not.
    """
    grey = np.asarray(cv2.cvtColor(card.pixels, cv2.COLOR_RGB2GRAY), dtype=np.float32)
    fine = np.clip(grey - np.asarray(cv2.GaussianBlur(grey, (0, 0), 3), dtype=np.float32), -20, 20)
    hann = np.hanning(PATCH_PX).astype(np.float32)
    window = hann[:, None] * hann[None]
    corners = [
        (top, left)
        for top in range(0, grey.shape[0] - PATCH_PX + 1, PATCH_PX)
        for left in range(0, grey.shape[1] - PATCH_PX + 1, PATCH_PX)
    ]
    if not corners:
        return 0.0
    patches = np.stack([fine[top : top + PATCH_PX, left : left + PATCH_PX] * window for top, left in corners])
    spectra = np.sort(np.abs(np.fft.rfft2(patches)), axis=0)  # numpy's median takes six times as long
    power = np.log((spectra[(len(spectra) - 1) // 2] + spectra[len(spectra) // 2]) / 2 + 1)
    above = np.exp(power - np.asarray(cv2.medianBlur(power, 5), dtype=np.float32))
    down, across = np.abs(np.fft.fftfreq(PATCH_PX))[:, None], np.fft.rfftfreq(PATCH_PX)[None]
    return float(above[np.hypot(down, across) > FINEST].max())


def chroma_left(card: Aligned) -> float:
    """Colour that is no tint of the light: the 95th percentile of chroma, without what follows from lightness.

    Measured as if the paper were white, so that a dark shot of a coloured card is no photocopy.
    """
    small = cv2.resize(card.pixels, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA).astype(np.float32)
    white = small / max(1.0, float(np.percentile(small.max(axis=2), 90)))
    lab = np.asarray(cv2.cvtColor(np.clip(white, 0, 1), cv2.COLOR_RGB2LAB), dtype=np.float64).reshape(-1, 3)
    powers = np.stack([np.ones(len(lab)), lab[:, 0], lab[:, 0] ** 2], axis=1)
    fitted, *_ = np.linalg.lstsq(powers, lab[:, 1:], rcond=None)
    return float(np.percentile(np.hypot(*(lab[:, 1:] - powers @ fitted).T), 95))


def clipped_share(sheet: Pixels, card: Aligned) -> float:
    """The corner most like the table and least like the card: 0 where all are card, 1 where one is table."""
    if not card.outlined:
        return 0.0
    height = card.pixels.shape[0]
    corners = [(x, y) for x in (0, CARD_PX) for y in (0, height)]
    return max(_table_like(sheet, card, (x, y), (1 if x == 0 else -1, 1 if y == 0 else -1)) for x, y in corners)


def _table_like(sheet: Pixels, card: Aligned, corner: tuple[float, float], inward: tuple[int, int]) -> float:
    """0 to 1: where the corner's inside lies between the colour of the card beside it and of the table outside."""

    def at(along: float, across: float) -> npt.NDArray[np.float64]:
        return _colour(sheet, card, corner[0] + inward[0] * along, corner[1] + inward[1] * across)

    inside = [at(*place) for place in ((27, 27), (14, 41), (41, 14))]
    beside = _nearest(inside[0], (at(27, 190), at(190, 27), at(120, 120)))
    outside = _nearest(inside[0], (at(-22, 40), at(40, -22), at(-16, -16)))
    straight = all(np.subtract(*_between(at(*edge), beside, outside)) < 0 for edge in ((10, 190), (190, 10)))
    apart = float(np.abs(beside - outside).sum())
    # Where even the sides beside the corner look like table, the outline is off and the card may be whole.
    if apart <= 60 or not straight:
        return 0.0
    distances = [_between(colour, beside, outside) for colour in inside]
    return min(to_card / (to_card + to_table) for to_card, to_table in distances)


def _nearest(colour: npt.NDArray[np.float64], others: tuple[npt.NDArray[np.float64], ...]) -> npt.NDArray[np.float64]:
    return min(others, key=lambda other: float(np.abs(other - colour).sum()))


def _between(
    colour: npt.NDArray[np.float64], card: npt.NDArray[np.float64], table: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """How far a colour is from the card's and from the table's."""
    return float(np.abs(colour - card).sum()), float(np.abs(colour - table).sum())


def outside_share(sheet: Pixels, middle: tuple[float, float]) -> float:
    """How much of one edge of the picture the card runs along, 0 to 1, where other edges show the table.

    The card is what is unlike most of the picture's rim, around `middle`, a point of it in sheet pixels.
    """
    scale = max(sheet.shape[:2]) / SEARCH_PX
    size = (max(1, round(sheet.shape[1] / scale)), max(1, round(sheet.shape[0] / scale)))
    _, apart = channels(np.asarray(cv2.resize(sheet, size, interpolation=cv2.INTER_AREA), dtype=np.uint8))
    _, unlike = cv2.threshold(apart, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    closed = cv2.morphologyEx(unlike, cv2.MORPH_CLOSE, np.ones((15, 15), np.uint8))
    _, labels = cv2.connectedComponents(cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((15, 15), np.uint8)))
    x, y = (min(int(value / scale), limit - 1) for value, limit in zip(middle, size, strict=True))
    if labels[y, x] == 0:
        return 0.0
    card = labels == labels[y, x]
    touched = sorted(float(edge.mean()) for edge in (card[1], card[-2], card[:, 1], card[:, -2]))
    return touched[-1] if touched[1] < 0.02 and _solid(card) else 0.0


def _solid(card: npt.NDArray[np.bool_]) -> bool:
    """Whether the shape is nearly its own hull, as a card is and print is not."""
    contours, _ = cv2.findContours(card.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = max(contours, key=cv2.contourArea)
    return cv2.contourArea(largest) > 0.93 * cv2.contourArea(cv2.convexHull(largest))


def _colour(sheet: Pixels, card: Aligned, x: float, y: float) -> npt.NDArray[np.float64]:
    """Median colour of a few pixels of the sheet around a point of the card."""
    points = np.array([[[x + dx, y + dy]] for dx in (-6, 0, 6) for dy in (-6, 0, 6)], dtype=np.float64)
    places = np.rint(cv2.perspectiveTransform(points, card.to_sheet).reshape(-1, 2)).astype(int)
    rows = np.clip(places[:, 1], 0, sheet.shape[0] - 1)
    columns = np.clip(places[:, 0], 0, sheet.shape[1] - 1)
    return np.asarray(np.median(sheet[rows, columns], axis=0), dtype=np.float64)
