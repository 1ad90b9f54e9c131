"""Sheet -> the cards on it, each warped flat to 1000 pixels wide, with the way back to the sheet's pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from endpoint.pictures import Pixels

CARD_PX = 1000
"""Width of an aligned card."""
SEARCH_PX = 640
"""Long side of the picture the edges are looked for in."""
INSET_PX = 4
"""Cut off all around: slivers of background make Leptonica complain and Tesseract see text."""
MIN_SHARE = 0.06
"""Smallest share of the picture a card fills."""
Corners = npt.NDArray[np.float64]
"""(4, 2): top left, top right, bottom right, bottom left, in pixels of the sheet."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """A card laid flat: RGB pixels, and the 3x3 homography from them to pixels of the sheet.

    `outlined`: its four edges were seen; otherwise it is the whole sheet.
    """

    pixels: Pixels
    to_sheet: npt.NDArray[np.float64]
    outlined: bool


def find_cards(sheet: Pixels) -> list[Corners]:
    """The outlines of the cards on a sheet in reading order; empty where none has four clear edges."""
    scale = max(sheet.shape[:2]) / SEARCH_PX
    size = (max(1, round(sheet.shape[1] / scale)), max(1, round(sheet.shape[0] / scale)))
    small = np.asarray(cv2.resize(sheet, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    found: list[Corners] = []
    for mask in _masks(small):
        found += [quad for quad in _quads(mask) if not any(_same(quad, other) for other in found)]
    kept = [quad for quad in found if not any(_inside(quad, other) for other in found if other is not quad)]
    return sorted(
        (quad * scale for quad in kept), key=lambda quad: (round(quad[0, 1] / sheet.shape[0] * 4), quad[0, 0])
    )


def _masks(small: Pixels) -> Iterator[Pixels]:
    """Candidate shapes: closed edges, and what is lighter or more coloured than the rest."""
    lab = cv2.cvtColor(cv2.GaussianBlur(small, (5, 5), 0), cv2.COLOR_RGB2LAB)
    for channel in cv2.split(lab):
        edges = cv2.Canny(channel, 20, 60)
        yield np.asarray(cv2.dilate(edges, np.ones((3, 3), np.uint8)), dtype=np.uint8)
        _, above = cv2.threshold(channel, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        for mask in (above, cv2.bitwise_not(above)):
            yield np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)), dtype=np.uint8)


def _quads(mask: Pixels) -> Iterator[Corners]:
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    for contour in contours:
        hull = np.asarray(cv2.convexHull(contour), dtype=np.int32)
        if cv2.contourArea(hull) < MIN_SHARE * mask.size:
            continue
        quad = _four_sides(hull)
        if quad is not None and _card_shaped(quad, hull, mask):
            yield quad


def _four_sides(hull: npt.NDArray[np.int32]) -> Corners | None:
    """The hull as four lines, each fitted to the middle of a side: rounded corners don't pull them in."""
    length = cv2.arcLength(hull, True)
    for tolerance in (0.01, 0.02, 0.03, 0.05):
        rough = cv2.approxPolyDP(hull, tolerance * length, True).reshape(-1, 2)
        if len(rough) == 4:
            return _ordered(_refined(rough.astype(np.float64), hull.reshape(-1, 2).astype(np.float64)))
    return _ordered(cv2.boxPoints(cv2.minAreaRect(hull)).astype(np.float64))


def _refined(rough: Corners, hull: Corners) -> Corners:
    lines = [_side(rough[index], rough[(index + 1) % 4], hull) for index in range(4)]
    corners = [_crossing(lines[index - 1], lines[index]) for index in range(4)]
    moved = np.array([corner if corner is not None else rough[index] for index, corner in enumerate(corners)])
    far = np.abs(moved - rough).max() > 0.08 * np.ptp(hull, axis=0).max()
    return rough if far else moved


def _side(start: Corners, end: Corners, hull: Corners) -> npt.NDArray[np.float64]:
    """A line (point, direction) through the hull's own points near the middle of a side, else through its corners."""
    along = (end - start) / max(1e-6, float(np.linalg.norm(end - start)))
    offsets = hull - start
    place = offsets @ along / max(1e-6, float(np.linalg.norm(end - start)))
    away = np.abs(offsets @ np.array([-along[1], along[0]]))
    near = hull[(place > 0.08) & (place < 0.92) & (away < 4)]
    if len(near) < 2:
        near = np.array([start, end])
    line = cv2.fitLine(near.astype(np.float32), cv2.DIST_HUBER, 0, 0.01, 0.01).ravel()
    return np.array([line[2], line[3], line[0], line[1]], dtype=np.float64)


def _crossing(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    directions = np.array([one[2:], -other[2:]]).T
    if abs(np.linalg.det(directions)) < 1e-3:
        return None
    return np.asarray(one[:2] + np.linalg.solve(directions, other[:2] - one[:2])[0] * one[2:])


def _ordered(quad: Corners) -> Corners:
    """Clockwise from the top left corner, and turned so that the first side is a long one."""
    angles = np.arctan2(*(quad - quad.mean(axis=0)).T[::-1])
    clockwise = quad[np.argsort(angles)]
    first = int(np.argmin(clockwise.sum(axis=1)))
    quad = np.roll(clockwise, -first, axis=0)
    across, down = np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[3] - quad[0])
    return quad if across >= down else np.roll(quad, -1, axis=0)


def _sides(quad: Corners) -> tuple[float, float]:
    """Mean length of the long and of the short sides."""
    lengths = [float(np.linalg.norm(quad[index] - quad[(index + 1) % 4])) for index in range(4)]
    return (lengths[0] + lengths[2]) / 2, (lengths[1] + lengths[3]) / 2


def _card_shaped(quad: Corners, hull: npt.NDArray[np.int32], mask: Pixels) -> bool:
    """Of a card's proportions (1.42 to 1.59, and room for perspective), full, and not the picture's own frame."""
    long, short = _sides(quad)
    area = cv2.contourArea(quad.astype(np.float32))
    if short < 1 or not 1.2 <= long / short <= 1.95 or area < MIN_SHARE * mask.size:
        return False
    return 0.9 <= cv2.contourArea(hull) / area <= 1.1 and area < 0.995 * mask.size


def _same(one: Corners, other: Corners) -> bool:
    return bool(np.abs(one.mean(axis=0) - other.mean(axis=0)).max() < 0.15 * _sides(other)[1])


def _inside(quad: Corners, other: Corners) -> bool:
    contour = other.astype(np.float32).reshape(-1, 1, 2)
    centre = tuple(float(value) for value in quad.mean(axis=0))
    return _sides(quad)[0] < _sides(other)[0] and cv2.pointPolygonTest(contour, centre, False) > 0


def align(sheet: Pixels, corners: Corners | None) -> Aligned:
    """The card between the corners, long side across; without corners the whole sheet."""
    outlined = corners is not None
    if corners is None:
        height, width = sheet.shape[:2]
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64)
    across, down = _sides(corners)
    height_px = max(1, min(4 * CARD_PX, round(CARD_PX * down / max(1.0, across))))
    inset = INSET_PX if outlined else 0
    target = np.array(
        [[-inset, -inset], [CARD_PX + inset, -inset], [CARD_PX + inset, height_px + inset], [-inset, height_px + inset]]
    )
    to_sheet = cv2.getPerspectiveTransform(target.astype(np.float32), corners.astype(np.float32))
    shrink = across / CARD_PX
    source = cv2.GaussianBlur(sheet, (0, 0), 0.4 * shrink) if shrink > 1.6 else sheet
    pixels = cv2.warpPerspective(
        source,
        to_sheet,
        (CARD_PX, height_px),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return Aligned(np.asarray(pixels, dtype=np.uint8), np.asarray(to_sheet, dtype=np.float64), outlined)


def turned(card: Aligned, quarters: int) -> Aligned:
    """The same card turned by quarter turns counter-clockwise."""
    pixels, to_sheet = card.pixels, card.to_sheet
    for _ in range(quarters % 4):
        width = pixels.shape[1]
        pixels = np.rot90(pixels)
        # a point (x, y) of the turned picture was at (width - 1 - y, x)
        to_sheet = to_sheet @ np.array([[0, -1, width - 1], [1, 0, 0], [0, 0, 1]], dtype=np.float64)
    return Aligned(np.ascontiguousarray(pixels), to_sheet, card.outlined)


def to_sent_box(
    card: Aligned, scale: float, box: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """A box on the aligned card -> the upright box around it on the picture sent, `scale` sent pixels a sheet pixel."""
    left, top, right, bottom = box
    corners = np.array([[[left, top]], [[right, top]], [[right, bottom]], [[left, bottom]]], dtype=np.float64)
    mapped = cv2.perspectiveTransform(corners, card.to_sheet).reshape(-1, 2) * scale
    (left, top), (right, bottom) = mapped.min(axis=0), mapped.max(axis=0)
    return float(left), float(top), float(right), float(bottom)
