"""Image at the size of the search -> its long straight lines, and the shapes that four of them enclose.

A shadow's edge, the grain of a table and a pattern under print all have edges, and none has long sharp lines: what is
darker by a share weighs the same in light and in shade, and what is finer than a few pixels is smoothed away.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import cv2
import numpy as np
import numpy.typing as npt

from endpoint.imaging.decode import Pixels
from endpoint.imaging.geometry import Corners, crossing, ordered

Line = npt.NDArray[np.float64]
"""A point and the way from there to the line's other end: x, y, dx, dy."""
SKEWED_DEGREES = 15.0
"""A corner that is further from square than that is less likely a card's, and at twice as much none."""
MAX_LINES = 14
MIN_LENGTH = 0.06
"""Of a line, in shares of the image's long side: a side that clutter interrupts is seen in parts."""
MIN_APART = 0.12
"""Of two sides across from each other, in the same shares."""
FINE_PX, ROUNDS = 5, 3
"""Medians of so many pixels, one after the other, smooth print, guilloche and grain away: a larger one takes longer."""
DARK = 8.0
"""Grey levels below which nothing is told apart."""


def even_lightness(small: Pixels) -> Pixels:
    """Lightness in equal shares a step, over the range that the image has, without fine detail."""
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    shares = np.log(np.arange(256) + DARK)
    low, high = shares[np.percentile(grey[::4, ::4], (1, 99)).astype(int)]
    steps = np.clip((shares - low) * (255 / max(0.5, float(high - low))), 0, 255).astype(np.uint8)
    return without_detail(np.asarray(cv2.LUT(grey, steps), dtype=np.uint8))


def without_detail(channel: Pixels) -> Pixels:
    """The channel with what is wider than print, and with its edges as sharp as they were."""
    for _ in range(ROUNDS):
        channel = np.asarray(cv2.medianBlur(channel, FINE_PX), dtype=np.uint8)
    return channel


def enclosed_shapes(even: Pixels) -> Iterator[Corners]:
    """Shapes between long straight lines, two and two: a card whose outline is broken, as by the edge of a shadow."""
    lines = _distinct(_segments(even))
    angles = [float(np.degrees(np.arctan2(line[3], line[2])) % 180) for line in lines]
    least = MIN_APART * max(even.shape)
    pairs = [
        (one, other)
        for one, other in combinations(range(len(lines)), 2)
        if _between(angles[one], angles[other]) < SKEWED_DEGREES and _off(lines[other], lines[one]) > least
    ]
    for (one, other), (third, fourth) in combinations(pairs, 2):
        if _between(angles[one], angles[third]) > 90 - SKEWED_DEGREES:
            corners = [crossing(lines[a], lines[b]) for a in (one, other) for b in (third, fourth)]
            found = [corner for corner in corners if corner is not None]
            if len(found) == 4:
                yield ordered(np.array(found))


def _segments(even: Pixels) -> list[Line]:
    """Straight parts of edges, longest first."""
    found = cv2.createLineSegmentDetector(cv2.LSD_REFINE_NONE).detect(even)[0]
    ends = np.zeros((0, 4)) if found is None else np.asarray(found, dtype=np.float64).reshape(-1, 4)
    ends[:, 2:] -= ends[:, :2]
    lengths = np.hypot(ends[:, 2], ends[:, 3])
    order = np.argsort(-lengths)
    return [ends[index] for index in order if lengths[index] > MIN_LENGTH * max(even.shape)]


def _distinct(lines: list[Line]) -> list[Line]:
    """The longest lines, without those that lie along another."""
    kept: list[Line] = []
    for line in lines:
        if len(kept) < MAX_LINES and not any(_along(line, other) for other in kept):
            kept.append(line)
    return kept


def _between(one: float, other: float) -> float:
    """Degrees between two lines at these angles, 0 to 90."""
    return min(abs(one - other), 180 - abs(one - other))


def _off(line: Line, other: Line) -> float:
    """How far the line's farther end is from the other line, pixels."""
    way = other[2:] / max(1e-6, float(np.hypot(other[2], other[3])))
    starts = line[:2] - other[:2]
    return max(abs(float(start[1] * way[0] - start[0] * way[1])) for start in (starts, starts + line[2:]))


def _along(line: Line, other: Line) -> bool:
    angles = [float(np.degrees(np.arctan2(one[3], one[2])) % 180) for one in (line, other)]
    return _between(*angles) < 4 and _off(line, other) < 8
