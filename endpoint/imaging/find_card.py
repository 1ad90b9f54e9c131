"""Sheet -> the outlines of the cards on it: many shapes are proposed, those whose sides lie on edges are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import cv2
import numpy as np
import numpy.typing as npt

from endpoint.imaging.decode import Pixels
from endpoint.imaging.geometry import Corners, crossing, on_edges, ordered, side_line, sides
from endpoint.imaging.straight_lines import SKEWED_DEGREES, enclosed_shapes, even_lightness, without_detail

SEARCH_PX = 640
"""Long side of the image the edges are looked for in."""
MIN_SHARE = 0.06
"""Smallest share of the image a card fills."""
LARGE_SHARE = 0.2
"""The same for a card that is told by four straight lines alone."""
ENOUGH_SUPPORT = 0.93
"""With an outline that lies so well on edges, no more shapes are proposed."""
MIN_SUPPORT = 0.55
"""Smallest share of an outline that must lie on edges."""
SAME_PX = 10.0
"""Outlines whose corners are no farther from each other, in pixels of the search, show a card alike."""
LIES_WELL = 0.85
"""A side of which so much lies on edges is not moved."""
RIM_PX = 6
"""So near to the image's rim, in pixels of the search, an outline may be the image's own."""
SNAP_PX = np.arange(-24.0, 25.0, 3.0)
"""How far the ends of a side are moved when it is looked for nearby, in pixels of the search."""


@dataclass(frozen=True, slots=True)
class SearchImage:
    """A sheet with a long side of `SEARCH_PX`, in which outlines are looked for; `scale` sheet pixels are one of its.

    Its colours; its lightness; and how far each pixel's colour is from the usual one along the image's border.
    """

    pixels: Pixels
    lightness: Pixels
    apart: Pixels
    scale: float


def search_image(sheet: Pixels) -> SearchImage:
    """The sheet, reduced or enlarged, as outlines are looked for in it."""
    scale = max(sheet.shape[:2]) / SEARCH_PX
    size = (max(1, round(sheet.shape[1] / scale)), max(1, round(sheet.shape[0] / scale)))
    small = np.asarray(cv2.resize(sheet, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return SearchImage(small, *_channels(small), scale)


def find_cards(search: SearchImage, *, choice: int = 0) -> list[Corners]:
    """The outlines of the cards on a sheet, in its pixels and in reading order; empty where none has four clear edges.

    Many shapes are proposed; of those over the same place the one whose sides lie best on edges is taken, or with
    `choice` the next ones, of cards that have so many.
    """
    lightness, apart = search.lightness, search.apart
    even = even_lightness(search.pixels)
    edges = np.asarray(cv2.bitwise_or(soft_edges(even), soft_edges(without_detail(apart))), dtype=np.uint8)
    quads: list[Corners] = []
    supported: list[tuple[float, int]] = []
    attempts: tuple[Callable[[], Iterator[Corners]], ...] = (
        lambda: chain(_of_masks(_masks(lightness, apart), edges), _of_lines(even)),
        lambda: (quad for quad in _of_masks(_upper_masks(lightness, apart), edges) if _off_the_rim(quad, edges)),
    )
    for propose in attempts:
        quads += propose()
        supported = sorted(((_support(quad, edges), index) for index, quad in enumerate(quads)), reverse=True)
        if supported and supported[0][0] >= ENOUGH_SUPPORT:
            break
    cards = _grouped(quads[index] for support, index in supported if support >= MIN_SUPPORT)
    height = search.pixels.shape[0]
    chosen = (outlines[choice] for outlines in cards if len(outlines) > choice)
    in_order = sorted(chosen, key=lambda quad: (round(quad[0, 1] / height * 4), quad[0, 0]))
    return [quad * search.scale for quad in in_order]


def _grouped(quads: Iterable[Corners]) -> list[list[Corners]]:
    """The outlines of each card, those that differ; in the order given."""
    cards: list[list[Corners]] = []
    for quad in quads:
        outlines = next((outlines for outlines in cards if _overlap(quad, outlines[0])), None)
        if outlines is None:
            cards.append([quad])
        elif all(float(np.abs(quad - other).max()) > SAME_PX for other in outlines):
            outlines.append(quad)
    return cards


def _of_masks(masks: Iterable[Pixels], edges: Pixels) -> Iterator[Corners]:
    return (_snapped(quad, edges) for mask in masks for quad in _quads(mask))


def _of_lines(even: Pixels) -> Iterator[Corners]:
    """Large ones only, for a portrait has straight sides, too. These lie on edges as they are."""
    return (
        quad
        for quad in enclosed_shapes(even)
        if cv2.contourArea(quad.astype(np.float32)) > LARGE_SHARE * even.size
        and _off_the_rim(quad, even)
        and _card_shaped(quad, np.asarray(np.rint(quad), dtype=np.int32), even)
    )


def _channels(small: Pixels) -> tuple[Pixels, Pixels]:
    """Lightness, and how far each pixel's colour is from the usual one along the image's border."""
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
    return (0.5 * min(shares) + 0.5 * sum(shares) / 4) * _squareness(quad)


def _squareness(quad: Corners) -> float:
    """1 where every corner is as a photograph from the side shows it, less where one is sharper: a shadow's edge."""
    along = np.roll(quad, -1, axis=0) - quad
    lengths = np.maximum(1e-6, np.linalg.norm(along, axis=1))
    cosines = (along * np.roll(along, 1, axis=0)).sum(axis=1) / (lengths * np.roll(lengths, 1))
    skew = float(np.degrees(np.arcsin(np.clip(np.abs(cosines), 0, 1))).max())
    return float(np.clip(1 - (skew - SKEWED_DEGREES) / SKEWED_DEGREES, 0, 1))


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
    if len(hull) < 4:  # of a triangle
        return None
    rough = np.asarray(cv2.approxPolyN(hull, 4, ensure_convex=True), dtype=np.float64).reshape(-1, 2)
    return ordered(_refined(rough, hull.reshape(-1, 2).astype(np.float64))) if len(rough) == 4 else None


def _refined(rough: Corners, hull: Corners) -> Corners:
    lines = [side_line(rough[index], rough[(index + 1) % 4], hull) for index in range(4)]
    corners = [crossing(lines[index - 1], lines[index]) for index in range(4)]
    moved = np.array([corner if corner is not None else rough[index] for index, corner in enumerate(corners)])
    far = np.abs(moved - rough).max() > 0.08 * np.ptp(hull, axis=0).max()
    return rough if far else moved


def _card_shaped(quad: Corners, hull: npt.NDArray[np.int32], mask: Pixels) -> bool:
    """Of a card's proportions (1.42 to 1.59, and room for perspective), full, and not the image's own frame."""
    long, short = sides(quad)
    area = cv2.contourArea(quad.astype(np.float32))
    if short < 1 or not 1.2 <= long / short <= 1.95 or area < MIN_SHARE * mask.size:
        return False
    return 0.9 <= cv2.contourArea(hull) / area <= 1.1 and area < 0.995 * mask.size


def _off_the_rim(quad: Corners, image: Pixels) -> bool:
    """Whether there is table all around: on an image that is the card itself, parts of it end at the rim."""
    return bool((quad > RIM_PX).all() and (quad < np.array(image.shape[1::-1]) - RIM_PX).all())


def _overlap(quad: Corners, other: Corners) -> bool:
    """Whether one covers the middle of the other: then they are guesses at the same card."""
    for one, two in ((quad, other), (other, quad)):
        centre = tuple(float(value) for value in one.mean(axis=0))
        if cv2.pointPolygonTest(two.astype(np.float32).reshape(-1, 1, 2), centre, False) > 0:
            return True
    return False
