"""Aligned card -> grey pixels made easy to read: evenly lit, less grainy, sharper, each only where it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from endpoint.imaging.decode import Pixels

Plane = npt.NDArray[np.float32]
MARGIN = 30
"""Pixels left out all around when sharpness is measured: the card's own edge is sharp or not for other reasons."""
GRAINY = 5.0
"""Median Laplacian, in hundredths of the contrast, above which an image is smoothed first: dark shots, screens."""
SOFT = 0.34
"""Sharpness under which an image is sharpened; sharpening a clean one hurts."""
BLUR_PX, BLUR_NOISE = 1.8, 0.003
"""The blur taken back from soft images, and the noise allowed for."""
STRIP_PX = 64
"""So many rows or columns at a time are transformed."""
DOT_BELOW, DOT_PX, MAX_DOTS = 0.75, 5, 3000
"""A dot is darker than that share of its paper and no larger; a sheet with more of them is grain."""
DOTS_IN_A_ROW, DOT_REACH_PX, DOT_OFF_PX = 8, 40.0, 1.6
"""A dot is of a line with more than so many others so near along it, and so little off it."""
DOTS_AT_ONCE = 200
"""So many are held against all others at a time, for the sake of memory."""
PAPER, PAPER_TO_INK = 235, 215
"""Paper in grey levels, and how far below it full ink is."""
FAINT, FULL = 0.3, 0.6
"""Shares of full ink that become none and all of it."""
TILE_PX = 80
PATTERN_SHARE, MAX_PATTERN = 80, 0.45
"""Ink that all but the inkiest 20 % of an area have is a pattern's; no more than so much of it is taken off."""
MAX_GLARE = 0.94
"""Share of a reflection beyond which nothing is left to bring out."""


@dataclass(frozen=True, slots=True)
class Sharpness:
    """What was measured on a card: grain in hundredths of its contrast, and sharpness.

    Sharpness is the energy of the second derivative in that of the first, so that it does not depend
    on how much is printed: about 1 where strokes are crisp, 0.5 at a blur of 1.2 pixels, 0.3 at 2.
    """

    grain: float
    sharpness: float


def measured(grey: Plane) -> Sharpness:
    """Grain and sharpness of a card whose ink and paper lie near 0 and 1."""
    grain = float(np.median(np.abs(cv2.Laplacian(grey, cv2.CV_32F)[::3, ::3]))) * 100
    smooth = cv2.GaussianBlur(grey[MARGIN:-MARGIN, MARGIN:-MARGIN], (0, 0), 1.0)
    slope = sum(_energy(cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx, scale=1 / 8)) for dx in (0, 1))
    return Sharpness(grain, _energy(cv2.Laplacian(smooth, cv2.CV_32F)) / max(1e-9 * smooth.size, slope))


def enhance(pixels: Pixels) -> Pixels:
    """RGB of an aligned card -> grey for the page pass.

    A whole sheet is several times as large as a card, one plane of it many megabytes: steps work in place or in strips.
    """
    grey = _normalize_illumination(pixels)
    sharpness = measured(grey)
    is_soft = sharpness.grain <= GRAINY and sharpness.sharpness < SOFT
    if is_soft:  # sharpened first: blurred print covers as much as a pattern does
        unblur(grey, BLUR_PX, BLUR_NOISE)
    _fade_pattern(grey)
    sharpness = measured(grey)
    if sharpness.grain > GRAINY:
        grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), 1.0), dtype=np.float32)
    elif sharpness.sharpness < SOFT and not is_soft:
        unblur(grey, BLUR_PX, BLUR_NOISE)
    _erase_dotted_lines(grey)
    grey *= PAPER_TO_INK
    grey += PAPER - PAPER_TO_INK
    return np.asarray(np.clip(grey, 0, 255, out=grey), dtype=np.uint8)


def without_faint(grey: Pixels) -> Pixels:
    """An enhanced card without what is fainter than print: for one under whose pattern little is read."""
    ink = (PAPER - grey.astype(np.float32)) / PAPER_TO_INK
    ink -= FAINT
    ink /= FULL - FAINT
    return np.asarray(PAPER - PAPER_TO_INK * np.clip(ink, 0, 1, out=ink), dtype=np.uint8)


def _erase_dotted_lines(grey: Plane) -> None:
    """Make paper, in place, of dots in a row: forms have values written on dotted lines, and Tesseract drops both."""
    mask = np.asarray(grey < DOT_BELOW, dtype=np.uint8)
    _, owners, stats, centres = cv2.connectedComponentsWithStats(mask, connectivity=8)
    tiny = np.flatnonzero((stats[:, 2] <= DOT_PX) & (stats[:, 3] <= DOT_PX))
    if not DOTS_IN_A_ROW < len(tiny) <= MAX_DOTS:
        return
    x, y = centres[tiny].T
    beside = [
        ((np.abs(x[part, None] - x) <= DOT_REACH_PX) & (np.abs(y[part, None] - y) <= DOT_OFF_PX)).sum(axis=1)
        for part in np.array_split(np.arange(len(x)), -(-len(x) // DOTS_AT_ONCE))
    ]
    lined = tiny[np.concatenate(beside) > DOTS_IN_A_ROW]
    areas = stats[lined, cv2.CC_STAT_AREA]
    lined = lined[areas <= 1.7 * np.median(areas)] if len(lined) else lined  # a dot below a letter is bolder
    is_lined = np.zeros(len(stats), dtype=bool)
    is_lined[lined] = True
    erased = cv2.dilate(is_lined[owners].astype(np.uint8), np.ones((3, 3), np.uint8))
    grey[erased.astype(bool)] = 1.0


def _energy(plane: cv2.typing.MatLike) -> float:
    """The sum of its squares, which needs no plane of squares."""
    return float(cv2.norm(plane, cv2.NORM_L2SQR))


def _normalize_illumination(pixels: Pixels) -> Plane:
    """Grey in shares of the paper around it, without shade (lifted up to four times) and without reflections."""
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.float32)
    darkest = max(1.0, 0.25 * float(np.percentile(grey[::4, ::4], 90)))
    grey /= np.maximum(paper := _background(grey), darkest, out=paper)
    del paper
    np.subtract(1, grey, out=grey)  # how deep the ink is
    glare = _glare(pixels)
    if glare is not None:
        grey /= np.subtract(1, glare, out=glare)
    return np.subtract(1, np.minimum(grey, 1, out=grey), out=grey)


def _fade_pattern(grey: Plane) -> None:
    """Take off, in place, the ink that most of the area around has: text covers little, guilloche a lot."""
    ink = np.subtract(1, grey, out=grey)
    small = ink[::2, ::2]
    down, across = (max(1, round(side / (TILE_PX / 2))) for side in small.shape)
    tiles = [np.array_split(strip, across, axis=1) for strip in np.array_split(small, down, axis=0)]
    usual = np.array([[np.percentile(tile, PATTERN_SHARE) for tile in strip] for strip in tiles], dtype=np.float32)
    smooth = np.asarray(cv2.medianBlur(np.clip(usual, 0, MAX_PATTERN), 3), dtype=np.float32)
    depth = _at_size(smooth, ink.shape)
    ink -= depth
    ink /= np.subtract(1, depth, out=depth)
    np.subtract(1, np.clip(ink, 0, 1, out=ink), out=grey)


def _glare(pixels: Pixels) -> Plane | None:
    """The share of each pixel's light that is a reflection, 0 to 0.94: how far its paper is on the way to white.

    Seen in the channel the card's own tint leaves darkest; None on a white card, where it is not to be told.
    """
    small = cv2.resize(pixels, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    paper = _background_of(np.asarray(small.min(axis=2), dtype=np.float32))
    usual = float(np.median(paper))
    if not 120 < usual < 242:  # dark is the table around a card without an outline, or a shot without a lamp
        return None
    share = (paper - usual) / np.float32(255 - usual)
    return _at_size(np.where(share > 0.3, np.minimum(share, MAX_GLARE), 0), pixels.shape[:2])


def unblur(grey: Plane, sigma: float, noise: float) -> None:
    """Wiener's filter for a Gaussian of that many pixels, in place; `noise` is what keeps it from sharpening grain.

    Rows and columns are transformed strip by strip into one spectrum: numpy's own takes four times as much.
    """
    height, width = grey.shape
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    waves = np.empty((height, across.size), dtype=np.complex128)
    for rows in _strips(height):
        waves[rows] = np.fft.rfft(1 - grey[rows])
    for columns in _strips(across.size):
        passed = np.exp(-2 * (np.pi * sigma) ** 2 * (down**2 + across[:, columns] ** 2))
        strip = np.fft.fft(waves[:, columns].astype(np.complex64), axis=0) * passed / (passed**2 + noise)
        waves[:, columns] = np.fft.ifft(strip, axis=0)
    for rows in _strips(height):
        grey[rows] = 1 - np.fft.irfft(waves[rows], width)


def _strips(length: int) -> Iterator[slice]:
    return (slice(start, start + STRIP_PX) for start in range(0, length, STRIP_PX))


def _background(grey: Plane) -> Plane:
    """The brightness of the card under its print, found at a quarter of the size."""
    small = cv2.resize(grey, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    return _at_size(_background_of(np.asarray(small, dtype=np.float32)), grey.shape)


def _background_of(small: Plane) -> Plane:
    """The brightest nearby, smoothed."""
    closed = cv2.morphologyEx(small, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13)))
    return np.asarray(cv2.GaussianBlur(closed, (0, 0), 3), dtype=np.float32)


def _at_size(small: Plane, shape: tuple[int, ...]) -> Plane:
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(small.astype(np.float32), size, interpolation=cv2.INTER_LINEAR), dtype=np.float32)
