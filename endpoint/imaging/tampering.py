"""Pixels of a card -> signs that it is no good original: off a screen, a photocopy, clipped, partly outside.

Each sign is one number with a threshold far from what good specimens measure: a false alarm is worse than a miss.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from endpoint.imaging.decode import Pixels
from endpoint.imaging.rectify import CARD_PX, RectifiedCard

Plane = npt.NDArray[np.float32]
PATCH_PX = 128
FINEST = 0.18
"""Lowest frequency searched for a screen's dots, cycles a pixel: print and patterns are coarser."""
SCREEN_PEAK = 4.0
"""Good specimens measured up to 2.9, ones off a screen from 5.3."""
PHOTOCOPY_CHROMA = 4.7
"""Good specimens measured from 7.4, one in the shade 5.1, photocopies up to 3.9."""
CLIPPED_LIGHT = 248
"""Pixels as bright as that have lost what the light's colour was."""
_MIN_TINT = 1 / 255
"""No light is without a colour altogether; an image of one colour is."""
OUTSIDE = -22.0
"""Pixels from the card's edge to where the table is looked at."""
BRIGHTER = 8.0
"""Grey levels: a table is as bright at a corner as elsewhere."""
CLIPPED_SHARE = 0.65
"""Good specimens measured up to 0.14, clipped ones from 0.98."""


def quality_flags(sheet: Pixels, card: RectifiedCard) -> frozenset[str]:
    """The contract's warning codes that the pixels show."""
    found = {
        "1": screen_peak(card) > SCREEN_PEAK,
        "2": chroma_left(card) < PHOTOCOPY_CHROMA,
        "5": clipped_share(sheet, card) > CLIPPED_SHARE,
        "6": card.cut,
    }
    return frozenset(code for code, shown in found.items() if shown)


def screen_peak(card: RectifiedCard) -> float:
    """How far the strongest fine periodic pattern stands out, in times of the spectrum around it; 2 is usual.

    Spectra of many patches are averaged: print differs between them, a screen's dots do not.
    """
    grey = np.asarray(cv2.cvtColor(card.pixels, cv2.COLOR_RGB2GRAY), dtype=np.float32)
    fine = np.asarray(cv2.GaussianBlur(grey, (0, 0), 3), dtype=np.float32)
    np.clip(np.subtract(grey, fine, out=fine), -20, 20, out=fine)
    del grey  # of a whole sheet these are many megabytes, and so would all its patches be at once
    hann = np.hanning(PATCH_PX).astype(np.float32)
    window = hann[:, None] * hann[None]
    spectra = np.array([np.abs(np.fft.rfft2(patch * window)) for patch in _patches(fine)])
    if not spectra.size:
        return 0.0
    spectra.sort(axis=0)  # numpy's median takes six times as long
    power = np.log((spectra[(len(spectra) - 1) // 2] + spectra[len(spectra) // 2]) / 2 + 1)
    above = np.exp(power - np.asarray(cv2.medianBlur(power, 5), dtype=np.float32))
    down, across = np.abs(np.fft.fftfreq(PATCH_PX))[:, None], np.fft.rfftfreq(PATCH_PX)[None]
    return float(above[np.hypot(down, across) > FINEST].max())


def _patches(plane: Plane) -> Iterator[Plane]:
    for top in range(0, plane.shape[0] - PATCH_PX + 1, PATCH_PX):
        for left in range(0, plane.shape[1] - PATCH_PX + 1, PATCH_PX):
            yield plane[top : top + PATCH_PX, left : left + PATCH_PX]


def chroma_left(card: RectifiedCard) -> float:
    """Colour that is no tint of the light: the 97th percentile of chroma once the usual tint is divided out.

    A lamp tints all greys alike, so on a copy nothing is left; pixels at the top of the range have lost their
    tint and count as grey. Measured as if the paper were white, so that a dark shot of a coloured card is no
    photocopy, and without the card's rim, which may show the table.
    """
    small = cv2.resize(card.pixels, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA).astype(np.float32)
    rim = round(0.03 * small.shape[1])
    pixels = small[rim:-rim, rim:-rim].reshape(-1, 3)
    brightest = pixels.max(axis=1)
    white = max(1.0, float(np.percentile(brightest, 90)))
    whole = pixels[brightest < CLIPPED_LIGHT]
    light = whole[whole.max(axis=1) > 0.4 * white]
    if len(light) < 0.02 * len(pixels):
        return 0.0
    tint = np.maximum(np.median(light / light.max(axis=1, keepdims=True), axis=0), _MIN_TINT)
    grey = np.clip(whole / tint * (tint.max() / white), 0, 1)[None].astype(np.float32)
    lab = np.asarray(cv2.cvtColor(grey, cv2.COLOR_RGB2LAB))[0]
    chroma = np.concatenate([np.hypot(lab[:, 1], lab[:, 2]), np.zeros(len(pixels) - len(whole))])
    return float(np.percentile(chroma, 97))


def clipped_share(sheet: Pixels, card: RectifiedCard) -> float:
    """The corner most like the table and least like the card: 0 where all are card, 1 where one is table."""
    if not card.outlined or card.cut:
        return 0.0
    height = card.pixels.shape[0]
    corners = [(x, y) for x in (0, CARD_PX) for y in (0, height)]
    sides = (
        (CARD_PX / 2, OUTSIDE),
        (CARD_PX / 2, height - OUTSIDE),
        (OUTSIDE, height / 2),
        (CARD_PX - OUTSIDE, height / 2),
    )
    table = tuple(_colour(sheet, card, x, y) for x, y in sides)
    return max(_table_like(sheet, card, (x, y), (1 if x == 0 else -1, 1 if y == 0 else -1), table) for x, y in corners)


def _table_like(
    sheet: Pixels,
    card: RectifiedCard,
    corner: tuple[float, float],
    inward: tuple[int, int],
    table: tuple[npt.NDArray[np.float64], ...],
) -> float:
    """0 to 1: where the corner's inside lies between the colour of the card beside it and of the table outside.

    Outside is what is beside the corner, and `table`, beside the card's sides: a lamp that shines on a film and on
    the table beyond makes both white, and the corner is there. Brighter than card and table is a reflection.
    """

    def at(along: float, across: float) -> npt.NDArray[np.float64]:
        return _colour(sheet, card, corner[0] + inward[0] * along, corner[1] + inward[1] * across)

    inside = [at(*place) for place in ((27, 27), (14, 41), (41, 14))]
    beside = _nearest(inside[0], (at(27, 190), at(190, 27), at(120, 120)))
    outside = _nearest(inside[0], (at(OUTSIDE, 40), at(40, OUTSIDE), at(-16, -16)))
    straight = all(np.subtract(*_between(at(*edge), beside, outside)) < 0 for edge in ((10, 190), (190, 10)))
    apart = float(np.abs(beside - outside).sum())
    elsewhere = _nearest(inside[0], table)
    is_lit = float(inside[0].mean()) > max(float(beside.mean()), float(elsewhere.mean()) + BRIGHTER)
    # Where even the sides beside the corner look like table, the outline is off and the card may be whole.
    if apart <= 60 or not straight or is_lit:
        return 0.0
    distances = [_between(colour, beside, ground) for colour in inside for ground in (outside, elsewhere)]
    return min(to_card / max(1.0, to_card + to_table) for to_card, to_table in distances)


def _nearest(colour: npt.NDArray[np.float64], others: tuple[npt.NDArray[np.float64], ...]) -> npt.NDArray[np.float64]:
    return min(others, key=lambda other: float(np.abs(other - colour).sum()))


def _between(
    colour: npt.NDArray[np.float64], card: npt.NDArray[np.float64], table: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """How far a colour is from the card's and from the table's."""
    return float(np.abs(colour - card).sum()), float(np.abs(colour - table).sum())


def _colour(sheet: Pixels, card: RectifiedCard, x: float, y: float) -> npt.NDArray[np.float64]:
    """Median colour of a few pixels of the sheet around a point of the card."""
    points = np.array([[[x + dx, y + dy]] for dx in (-6, 0, 6) for dy in (-6, 0, 6)], dtype=np.float64)
    places = np.rint(cv2.perspectiveTransform(points, card.to_sheet).reshape(-1, 2)).astype(int)
    rows = np.clip(places[:, 1], 0, sheet.shape[0] - 1)
    columns = np.clip(places[:, 0], 0, sheet.shape[1] - 1)
    return np.asarray(np.median(sheet[rows, columns], axis=0), dtype=np.float64)
