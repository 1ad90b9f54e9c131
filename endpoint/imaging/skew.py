"""Sheet -> by how much what is printed on it lies askew, told from its lines: where no outline of a card says it.

Ink counted along parallels rises and falls most where those run along the lines of print, level or upright.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from endpoint.imaging.decode import Pixels

SEARCH_PX = 640
"""Long side of the image that lines are looked for in."""
MAX_DEGREES = 15.0
COARSE, FINE = 1.0, 0.25
"""Degrees between the angles tried, first all around and then near the best."""
MIN_DEGREES = 0.6
"""Print that lies less askew is read as it is."""
MIN_GAIN = 1.06
"""So many times as clear as lying level must the lines be at another angle."""
MIN_CLEARNESS = 2.0
"""How clear lines are at least, in shares of their ink: cards measured from 3.7, noise 0.7."""
PAPER_PX = 15
"""Paper shows within so many pixels of any ink, at the size of the search."""
DARKER = 30
"""Grey levels below its paper at which a pixel is ink."""
RIM = 0.04
"""Share of each side that is left out: edges of the card or of a crop are no print."""
Positions = npt.NDArray[np.float32]


def skew_of(sheet: Pixels) -> float:
    """Degrees clockwise by which print is turned away from level or upright, within 15; 0 where it does not show."""
    scale = max(sheet.shape[:2]) / SEARCH_PX
    size = (max(1, round(sheet.shape[1] / scale)), max(1, round(sheet.shape[0] / scale)))
    small = cv2.resize(sheet, size, interpolation=cv2.INTER_AREA)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    paper = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, np.ones((PAPER_PX, PAPER_PX), np.uint8))
    ink = np.asarray(cv2.subtract(paper, grey)) > DARKER
    rim = round(RIM * min(ink.shape))
    y, x = (axis.astype(np.float32) for axis in np.nonzero(ink[rim : ink.shape[0] - rim, rim : ink.shape[1] - rim]))
    level = _clearness(x, y, 0.0)
    best = _best(x, y, np.arange(-MAX_DEGREES, MAX_DEGREES + COARSE, COARSE))
    best = _best(x, y, np.arange(best - COARSE, best + COARSE + FINE, FINE))
    least = max(MIN_GAIN * level, MIN_CLEARNESS * x.size)
    return best if abs(best) >= MIN_DEGREES and _clearness(x, y, best) > least else 0.0


def _best(x: Positions, y: Positions, angles: npt.NDArray[np.float64]) -> float:
    return float(max(angles, key=lambda degrees: _clearness(x, y, float(degrees))))


def _clearness(x: Positions, y: Positions, degrees: float) -> float:
    """How much the ink differs from one parallel at that angle to the next: the clearer of rows and columns."""
    cosine, sine = (np.float32(of(np.deg2rad(degrees))) for of in (np.cos, np.sin))
    return max(_unevenness(y * cosine - x * sine), _unevenness(x * cosine + y * sine))


def _unevenness(places: Positions) -> float:
    if not places.size:
        return 0.0
    counts = np.bincount(np.rint(places - places.min()).astype(np.int32)).astype(np.float64)
    return float(np.square(np.diff(counts)).sum())
