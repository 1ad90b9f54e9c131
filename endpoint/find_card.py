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
ENOUGH_SUPPORT = 0.93
"""With an outline that lies so well on edges, no more shapes are proposed."""
MIN_SUPPORT = 0.55
"""Smallest share of an outline that must lie on edges."""
LIES_WELL = 0.85
"""A side of which so much lies on edges is not moved."""
RIM_PX = 6
"""So near to the picture's rim, in pixels of the search, an outline may be the picture's own."""
SNAP_PX = np.arange(-24.0, 25.0, 3.0)
"""How far the ends of a side are moved when it is looked for nearby, in pixels of the search."""
Corners = npt.NDArray[np.float64]
"""(4, 2): top left, top right, bottom right, bottom left, in pixels of the sheet."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """A card laid flat: RGB pixels, and the 3x3 homography from them to pixels of the sheet.

    `outlined`: its four edges are known; otherwise it is the whole sheet. `cut`: some of it is outside the picture.
    """

    pixels: Pixels
    to_sheet: npt.NDArray[np.float64]
    outlined: bool
    cut: bool = False


def find_cards(sheet: Pixels) -> list[Corners]:
    """The outlines of the cards on a sheet in reading order; empty where none has four clear edges.

    Many shapes are proposed; of those over the same place the one whose sides lie best on edges is kept.
    """
    scale = max(sheet.shape[:2]) / SEARCH_PX
    size = (max(1, round(sheet.shape[1] / scale)), max(1, round(sheet.shape[0] / scale)))
    small = np.asarray(cv2.resize(sheet, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    lightness, apart = channels(small)
    edges = np.asarray(cv2.bitwise_or(soft_edges(lightness), soft_edges(apart)), dtype=np.uint8)
    quads: list[Corners] = []
    supported: list[tuple[float, int]] = []
    for masks, within in ((_masks(lightness, apart), _anywhere), (_upper_masks(lightness, apart), _off_the_rim)):
        proposed = (_snapped(quad, edges) for mask in masks for quad in _quads(mask))
        quads += [quad for quad in proposed if within(quad, edges)]
        supported = sorted(((_support(quad, edges), index) for index, quad in enumerate(quads)), reverse=True)
        if supported and supported[0][0] >= ENOUGH_SUPPORT:
            break
    kept: list[Corners] = []
    for support, index in supported:
        if support >= MIN_SUPPORT and not any(_overlap(quads[index], other) for other in kept):
            kept.append(quads[index])
    return sorted(
        (quad * scale for quad in kept), key=lambda quad: (round(quad[0, 1] / sheet.shape[0] * 4), quad[0, 0])
    )


def channels(small: Pixels) -> tuple[Pixels, Pixels]:
    """Lightness, and how far each pixel's colour is from the usual one along the picture's border."""
    lab = np.asarray(cv2.cvtColor(cv2.GaussianBlur(small, (5, 5), 0), cv2.COLOR_RGB2LAB), dtype=np.float32)
    rim = np.concatenate([part.reshape(-1, 3) for part in (lab[:8], lab[-8:], lab[:, :8], lab[:, -8:])])
    distance = cv2.transform(np.abs(lab - np.median(rim, axis=0)), np.ones((1, 3)))
    return lab[..., 0].astype(np.uint8), np.asarray(np.clip(distance, 0, 255), dtype=np.uint8)


def soft_edges(channel: Pixels) -> Pixels:
    """255 within a pixel of where the channel changes, faint changes too."""
    return np.asarray(cv2.dilate(cv2.Canny(channel, 15, 45), np.ones((3, 3), np.uint8)), dtype=np.uint8)


def _masks(lightness: Pixels, apart: Pixels) -> Iterator[Pixels]:
    """Candidate shapes: closed edges; what is lighter, or unlike the border, with less and less attached to it."""
    yield soft_edges(lightness)
    yield soft_edges(apart)
    for channel in (apart, lightness):
        _, above = cv2.threshold(channel, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        yield from _opened(np.asarray(above, dtype=np.uint8))


def _upper_masks(lightness: Pixels, apart: Pixels) -> Iterator[Pixels]:
    """For a cluttered table: things on it are often between it and the card, so what is above is parted again."""
    for channel in (apart, lightness):
        level, above = cv2.threshold(channel, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        yield from _opened(np.asarray(above, dtype=np.uint8), sides=(140,))
        bright = channel[channel > level].reshape(1, -1)
        if bright.size:
            upper, _ = cv2.threshold(bright, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
            yield from _opened(np.asarray((channel > upper) * 255, dtype=np.uint8), sides=(1, 25, 75, 140))


def _opened(mask: Pixels, sides: tuple[int, ...] = (1, 25, 75)) -> Iterator[Pixels]:
    """The mask without its holes, with less and less attached to it."""
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    for side in sides:
        yield np.asarray(cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((side, side), np.uint8)), dtype=np.uint8)


def _support(quad: Corners, edges: Pixels) -> float:
    """The share of the outline that lies on edges, 0 to 1, held down by its worst side."""
    shares = [float(on_edges(quad[[index]], quad[[(index + 1) % 4]], edges)[0]) for index in range(4)]
    return 0.5 * min(shares) + 0.5 * sum(shares) / 4


def on_edges(starts: Corners, ends: Corners, edges: Pixels) -> npt.NDArray[np.float64]:
    """Of lines from `starts` to `ends`, both (n, 2): the share of each that lies on edges, but for its ends."""
    along = np.linspace(0.1, 0.9, 80)[None, :, None]
    points = np.rint(starts[:, None] * (1 - along) + ends[:, None] * along).astype(int)
    x, y = points[..., 0], points[..., 1]
    inside = (x >= 0) & (y >= 0) & (x < edges.shape[1]) & (y < edges.shape[0])
    hit = edges[np.clip(y, 0, edges.shape[0] - 1), np.clip(x, 0, edges.shape[1] - 1)] > 0
    return np.asarray((hit & inside).mean(axis=1))


def _snapped(quad: Corners, edges: Pixels) -> Corners:
    """Each side that lies badly moved onto the edges nearby: what touches a card pulls its hull outwards."""
    lines = []
    for index in range(4):
        start, end = quad[index], quad[(index + 1) % 4]
        along = (end - start) / max(1e-6, float(np.linalg.norm(end - start)))
        normal = np.array([-along[1], along[0]])
        if on_edges(quad[[index]], quad[[(index + 1) % 4]], edges)[0] > LIES_WELL:
            lines.append(np.concatenate([start, end - start]))
            continue
        first, second = (grid.ravel()[:, None] for grid in np.meshgrid(SNAP_PX, SNAP_PX))
        starts, ends = start + first * normal, end + second * normal
        shares = on_edges(starts, ends, edges) - 0.004 * (np.abs(first) + np.abs(second)).ravel()
        best = int(shares.argmax())
        middle = len(SNAP_PX) ** 2 // 2
        if shares[best] < shares[middle] + 0.1:
            best = middle
        lines.append(np.concatenate([starts[best], ends[best] - starts[best]]))
    corners = [crossing(lines[index - 1], lines[index]) for index in range(4)]
    return np.array([quad[index] if corner is None else corner for index, corner in enumerate(corners)])


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
    """The hull as four lines, each fitted to the middle of a side: rounded or clipped corners don't pull them in."""
    rough = np.asarray(cv2.approxPolyN(hull, 4, ensure_convex=True), dtype=np.float64).reshape(-1, 2)
    return ordered(_refined(rough, hull.reshape(-1, 2).astype(np.float64))) if len(rough) == 4 else None


def _refined(rough: Corners, hull: Corners) -> Corners:
    lines = [side_line(rough[index], rough[(index + 1) % 4], hull) for index in range(4)]
    corners = [crossing(lines[index - 1], lines[index]) for index in range(4)]
    moved = np.array([corner if corner is not None else rough[index] for index, corner in enumerate(corners)])
    far = np.abs(moved - rough).max() > 0.08 * np.ptp(hull, axis=0).max()
    return rough if far else moved


def side_line(start: Corners, end: Corners, hull: Corners) -> npt.NDArray[np.float64]:
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


def crossing(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    """Where two lines (x, y, dx, dy) meet; None where they hardly do."""
    directions = np.array([one[2:], -other[2:]]).T
    if abs(np.linalg.det(directions)) < 1e-3:
        return None
    return np.asarray(one[:2] + np.linalg.solve(directions, other[:2] - one[:2])[0] * one[2:])


def ordered(quad: Corners) -> Corners:
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


def _anywhere(quad: Corners, picture: Pixels) -> bool:
    return True


def _off_the_rim(quad: Corners, picture: Pixels) -> bool:
    """Whether there is table all around: on a picture that is the card itself, parts of it end at the rim."""
    return bool((quad > RIM_PX).all() and (quad < np.array(picture.shape[1::-1]) - RIM_PX).all())


def _overlap(quad: Corners, other: Corners) -> bool:
    """Whether one covers the middle of the other: then they are guesses at the same card."""
    for one, two in ((quad, other), (other, quad)):
        centre = tuple(float(value) for value in one.mean(axis=0))
        if cv2.pointPolygonTest(two.astype(np.float32).reshape(-1, 1, 2), centre, False) > 0:
            return True
    return False


def align(sheet: Pixels, corners: Corners | None, *, cut: bool = False) -> Aligned:
    """The card between the corners, long side across; without corners the whole sheet.

    What of a `cut` card is outside the picture becomes as its middle is: a smear of the rim's pixels looks like print.
    """
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
    source, moved = _around(sheet, corners, blur_px=0.4 * across / CARD_PX)
    to_part = np.array([[1, 0, -moved[0]], [0, 1, -moved[1]], [0, 0, 1]], dtype=np.float64) @ to_sheet
    size, how = (CARD_PX, height_px), cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    border = cv2.BORDER_CONSTANT if cut else cv2.BORDER_REPLICATE
    usual = np.median(source[::8, ::8], axis=(0, 1)).tolist()
    pixels = cv2.warpPerspective(source, to_part, size, flags=how, borderMode=border, borderValue=usual)
    return Aligned(np.asarray(pixels, dtype=np.uint8), np.asarray(to_sheet, dtype=np.float64), outlined, cut)


def _around(sheet: Pixels, corners: Corners, *, blur_px: float) -> tuple[Pixels, tuple[int, int]]:
    """The part of the sheet that holds the corners, smoothed if it will be shrunk, and where its origin is."""
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 8, 0)
    high = np.ceil(corners.max(axis=0)).astype(int) + 8
    part = sheet[low[1] : high[1], low[0] : high[0]]
    if blur_px > 0.64:
        part = np.asarray(cv2.GaussianBlur(part, (0, 0), blur_px), dtype=np.uint8)
    return np.ascontiguousarray(part), (int(low[0]), int(low[1]))


def turned(card: Aligned, quarters: int) -> Aligned:
    """The same card turned by quarter turns counter-clockwise."""
    pixels, to_sheet = card.pixels, card.to_sheet
    for _ in range(quarters % 4):
        width = pixels.shape[1]
        pixels = np.rot90(pixels)
        # a point (x, y) of the turned picture was at (width - 1 - y, x)
        to_sheet = to_sheet @ np.array([[0, -1, width - 1], [1, 0, 0], [0, 0, 1]], dtype=np.float64)
    return Aligned(np.ascontiguousarray(pixels), to_sheet, card.outlined, card.cut)


def to_sent_box(
    card: Aligned, scale: float, box: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """A box on the aligned card -> the upright box around it on the picture sent, `scale` sent pixels a sheet pixel."""
    left, top, right, bottom = box
    corners = np.array([[[left, top]], [[right, top]], [[right, bottom]], [[left, bottom]]], dtype=np.float64)
    mapped = cv2.perspectiveTransform(corners, card.to_sheet).reshape(-1, 2) * scale
    (left, top), (right, bottom) = mapped.min(axis=0), mapped.max(axis=0)
    return float(left), float(top), float(right), float(bottom)
