"""Grey card -> the quarter turns to try, likeliest first: from how print looks, long before it is read.

Vietnamese stands out above its lines (tone marks, hats, capitals, ascenders) two to three times as much as below
them. A wrong order costs a page pass and no accuracy; what is clear enough leaves only the two along the lines.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endpoint.imaging.decode import Pixels

INK = 150
"""Darker than that is ink, where paper is 235: see `clarity.enhance`."""
GAP_PX = 19
"""Ink so near on a line is the same line."""
MIN_PX, MAX_PX = 10, 60
"""Height of a line of print on a card 1000 wide."""
MIN_LONG = 3
"""A line is at least so many times as long as high."""
ZONE_LONG, ZONE_FOOT = 0.7, 0.3
"""Lines so long, in shares of the card, and so near its foot or its head are of a machine-readable zone."""

CLEARLY, MIN_LINES_PX = 3.0, 1000
"""Lines in one direction so many times as long as in the other, and so long, are print: the card lies along them."""


@dataclass(frozen=True, slots=True)
class _Print:
    """Length of all lines in pixels, the ink above and below their middle parts, and where zone lines stand, 0 to 1."""

    length: float
    above: float
    below: float
    zone: tuple[float, ...]

    @property
    def is_upright(self) -> bool:
        """A zone is at the foot; without one, by what stands out."""
        return sum(self.zone) > len(self.zone) / 2 if self.zone else self.above >= self.below


def turns_to_try(grey: Pixels, *, any_quarter: bool) -> tuple[int, ...]:
    """Quarter turns counter-clockwise that may put the card upright: four, or two along its lines or long sides."""
    ink = np.asarray(grey < INK, dtype=np.uint8)
    across = _lines(ink)
    along = (0, 2) if across.is_upright else (2, 0)
    if not any_quarter:
        return along
    down = _lines(np.ascontiguousarray(np.rot90(ink)))
    turned = (1, 3) if down.is_upright else (3, 1)
    likelier, other = (along, turned) if across.length >= down.length else (turned, along)
    long, short = sorted((across.length, down.length), reverse=True)
    return likelier if long > max(CLEARLY * short, MIN_LINES_PX) else likelier + other


def marks_on(grey: Pixels) -> int:
    """How many separate marks of ink there are: letters, tone marks, specks."""
    return int(cv2.connectedComponents(np.asarray(grey < INK, dtype=np.uint8), connectivity=4)[0]) - 1


def _lines(ink: Pixels) -> _Print:
    """What lies level: a line's middle part are the rows with at least half as much ink as its fullest one.

    Lines of a zone are of capitals and fillers, which stand out nowhere: noise in them would outweigh the print.
    """
    joined = cv2.morphologyEx(ink, cv2.MORPH_CLOSE, np.ones((1, GAP_PX), np.uint8))
    _, _, boxes, _ = cv2.connectedComponentsWithStats(joined, connectivity=4)
    length = above = below = 0.0
    zone: list[float] = []
    for left, top, wide, high, _ in boxes[1:]:
        middle_y = float(top + high / 2) / ink.shape[0]
        if not (MIN_PX <= high <= MAX_PX and wide >= MIN_LONG * high):
            continue
        if wide > ZONE_LONG * ink.shape[1] and abs(middle_y - 0.5) > 0.5 - ZONE_FOOT:
            length += float(wide)
            zone.append(middle_y)
        else:
            rows = ink[top : top + high, left : left + wide].sum(axis=1, dtype=np.float64)
            middle = np.flatnonzero(rows > 0.5 * rows.max())
            length += float(wide)
            above += float(rows[: middle[0]].sum())
            below += float(rows[middle[-1] + 1 :].sum())
    return _Print(length, above, below, tuple(zone))
