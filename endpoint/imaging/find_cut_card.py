"""Sheet -> the outline of a card that runs over the image's edge, its unseen sides put where they must be.

The card is the large even shape around the image's middle that meets the image's rim. Sides inside the image are
lines of its hull; each unseen one is laid parallel to the side across from it, as far out as the card is seen.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from endpoint.imaging.decode import Pixels
from endpoint.imaging.find_card import SEARCH_PX, SearchImage, soft_edges
from endpoint.imaging.geometry import Corners, crossing, on_edges, ordered, side_line

RIM_PX = 5
"""Hull points so near the image's rim are where the image ends, not the card; in pixels of the search."""
MIN_SIDE = 0.14
"""A side that is seen is at least that long, in shares of the image's long side."""
MIN_TOUCH = 0.08
"""How much of one edge of the image the card runs along at least."""
MIN_AREA, MAX_AREA = 0.30, 0.97
"""Share of the image that is card."""
MIN_EDGE_SUPPORT = 0.75
"""Share of each seen side that lies on edges of the image."""
Line = npt.NDArray[np.float64]
"""A point and a direction of length 1: (x, y, dx, dy)."""


def find_cut_card(search: SearchImage) -> Corners | None:
    """Corners of the card in pixels of the sheet, some of them outside it; None where no card meets the image's rim."""
    lightness, apart = search.lightness, search.apart
    edges = cv2.dilate(cv2.bitwise_or(soft_edges(lightness), soft_edges(apart)), np.ones((7, 7), np.uint8))
    for shape in _shapes(lightness, apart):
        corners = _completed(shape, np.asarray(edges, dtype=np.uint8))
        if corners is not None:
            return np.asarray(corners * search.scale)
    return None


def _shapes(lightness: Pixels, apart: Pixels) -> Iterator[npt.NDArray[np.bool_]]:
    """What may be the card: the part around the middle of all that is lighter, or (un)like the image's rim."""
    for channel in (apart, lightness):
        _, above = cv2.threshold(channel, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        for mask in (above, cv2.bitwise_not(above)):
            padded = cv2.copyMakeBorder(mask, 20, 20, 20, 20, cv2.BORDER_REPLICATE)
            closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, np.ones((15, 15), np.uint8))
            opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, np.ones((15, 15), np.uint8))[20:-20, 20:-20]
            _, labels = cv2.connectedComponents(opened)
            middle = labels[labels.shape[0] // 2, labels.shape[1] // 2]
            if middle and MIN_AREA < (labels == middle).mean() < MAX_AREA:
                yield labels == middle


def _completed(shape: npt.NDArray[np.bool_], edges: Pixels) -> Corners | None:
    contours, _ = cv2.findContours(shape.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = np.asarray(max(contours, key=cv2.contourArea), dtype=np.int32)
    hull = np.asarray(cv2.convexHull(contour), dtype=np.int32)
    touched = (shape[1], shape[-2], shape[:, 1], shape[:, -2])
    if shape.sum() < 0.93 * cv2.contourArea(hull) or max(float(edge.mean()) for edge in touched) < MIN_TOUCH:
        return None
    seen = [line for line, support in _seen_sides(hull, contour, edges) if support >= MIN_EDGE_SUPPORT]
    if not seen:
        return None
    first = [line for line in seen if abs(_cosine(line, seen[0])) > 0.9]
    others = [line for line in seen if abs(_cosine(line, seen[0])) < 0.35]
    if not others or len(first) + len(others) != len(seen) or len(seen) > 3 or max(len(first), len(others)) > 2:
        return None
    points = hull.reshape(-1, 2).astype(np.float64)
    pairs = [_both(lines, points) for lines in (first, others)]
    corners = [crossing(pairs[0][one], pairs[1][two]) for one, two in ((0, 0), (0, 1), (1, 1), (1, 0))]
    found = [corner for corner in corners if corner is not None]
    return ordered(np.array(found)) if len(found) == 4 else None


def _seen_sides(
    hull: npt.NDArray[np.int32], contour: npt.NDArray[np.int32], edges: Pixels
) -> Iterator[tuple[Line, float]]:
    """Long straight parts of the hull inside the image, longest first, and how much of each lies on edges."""
    height, width = edges.shape
    points = contour.reshape(-1, 2).astype(np.float64)
    polygon = np.asarray(cv2.approxPolyDP(hull, 0.009 * SEARCH_PX, True), dtype=np.float64).reshape(-1, 2)
    sides = [(polygon[index - 1], polygon[index]) for index in range(len(polygon))]
    for start, end in sorted(sides, key=lambda side: -float(np.linalg.norm(side[1] - side[0]))):
        middle = (start + end) / 2
        inside = RIM_PX < middle[0] < width - RIM_PX and RIM_PX < middle[1] < height - RIM_PX
        if inside and np.linalg.norm(end - start) > MIN_SIDE * SEARCH_PX:
            line = side_line(start, end, points)
            yield line, float(on_edges(_on(line, start)[None], _on(line, end)[None], edges)[0])


def _on(line: Line, point: Corners) -> Corners:
    """The point of the line nearest to one beside it."""
    return np.asarray(line[:2] + (point - line[:2]) @ line[2:] * line[2:])


def _cosine(one: Line, other: Line) -> float:
    return float(one[2:] @ other[2:])


def _both(lines: list[Line], points: Corners) -> tuple[Line, Line]:
    """The side and the one across from it: seen, or parallel through the farthest point of the card."""
    if len(lines) == 2:
        return lines[0], lines[1]
    normal = np.array([-lines[0][3], lines[0][2]])
    away = (points - lines[0][:2]) @ normal
    farthest = points[int(np.abs(away).argmax())]
    return lines[0], np.concatenate([farthest, lines[0][2:]])
