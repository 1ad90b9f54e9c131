"""Lines of a machine-readable zone -> its cells, cut where the glyphs stand.

All cells of a zone are of one width. That grid is searched for, then fitted to the glyphs themselves, which are
set in the middle of theirs: read a tenth of a cell off, "<" looks like "C", and two of those cancel in a check digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from endpoint.imaging.decode import Pixels
from endpoint.mrz.formats import Format
from endpoint.mrz.locate import Band, Ink, ink_of

CELL_WIDTH, CELL_HEIGHT = 16, 24
"""A cell as the glyph classifier takes it: width is 1.0 pitch, height 1.5 pitches."""
Positions = npt.NDArray[np.float64]
CellImages = npt.NDArray[np.float32]
"""(n, CELL_HEIGHT, CELL_WIDTH): ink 1, paper 0."""
GLYPH_HIGH, GLYPH_WIDE = (0.7, 1.6), (0.08, 1.1)
"""Least and most of a glyph's size in pitches, blurred and as bold as zones are printed; a joined pair is wider."""
TILT_STEPS = 3
"""Times a line's slope is looked for: three follow one of 2 degrees."""
FITTED_WITH = 0.5
"""Share of the cells whose glyphs must stand apart to fit the grid to them."""


@dataclass(frozen=True, slots=True)
class _Grid:
    """Left edge of the first cell and the width of all, pixels; the height of each line's middle in its strip.

    `bend` is how many pixels a cell's edge is moved for the square of its number: cells of a card that was laid flat
    by a side that is not its own become wider from one end to the other.
    """

    start: float
    pitch: float
    middles: tuple[float, ...]
    bend: float = 0.0

    def across(self, cells: Positions) -> Positions:
        """Pixels from the left at which so many cells end; halves are their middles."""
        return self.start + self.pitch * cells + self.bend * cells**2


def zone_cells(grey: Pixels, bands: Sequence[Band], layout: Format) -> CellImages | None:
    """The last bands cut into the format's cells, (lines * cells, 24, 16); None where they don't fit."""
    wanted, count = len(layout.masks), len(layout.masks[0])
    if len(bands) < wanted:
        return None
    ink = ink_of(grey)
    strips = [_strip(ink, band) for band in bands[-wanted:]]
    grid = _fitted(strips, _searched(strips, count), count)
    return np.concatenate(
        [_cut(strip, grid, middle, count) for strip, middle in zip(strips, grid.middles, strict=True)]
    )


def _strip(ink: Ink, band: Band) -> Ink:
    """The line laid level, with half its height above and below."""
    slope, middle = _tilt(ink, band)
    reach = (band.bottom - band.top) * 1.1
    matrix = np.array([[1, 0, 0], [slope, 1, middle - reach]], dtype=np.float64)
    level = cv2.warpAffine(ink, matrix, (ink.shape[1], int(2 * reach)), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.asarray(level, dtype=np.float32)


def _profile(strip: Ink) -> Ink:
    """Ink by column, in line heights."""
    profile = strip[strip.shape[0] // 4 : -strip.shape[0] // 4].mean(axis=0)
    profile[strip.mean(axis=0) > 0.8] = 0  # a frame or the card's edge: inked above and below the line too
    return np.asarray(profile, dtype=np.float32)


def _tilt(ink: Ink, band: Band) -> tuple[float, float]:
    """Slope of the line and its height at the left edge, from the ink's centre in eight parts.

    Looked for again along the line found: of a tilted one, the band holds but half the glyphs at its ends.
    """
    reach = 0.75 * (band.bottom - band.top)
    edges = np.linspace(ink.shape[1] * 0.04, ink.shape[1] * 0.96, 9).astype(int)
    slope, offset = 0.0, band.middle
    for _ in range(TILT_STEPS):
        points = []
        for left, right in pairwise(edges):
            across = (left + right) / 2
            top = max(0, round(offset + slope * across - reach))
            inked = ink[top : top + round(2 * reach), left:right].sum(axis=1)
            if inked.sum() > 1:
                points.append((across, top + float(inked @ np.arange(len(inked)) / inked.sum())))
        if len(points) < 4:
            return 0.0, band.middle
        across_parts, down = np.array(points).T
        slope, offset = map(float, np.polyfit(across_parts, down, 1))
    return slope, offset


def _searched(strips: Sequence[Ink], count: int) -> _Grid:
    """Of all grids a zone can have (80 to 100 % of the card's width) the likeliest; right to a fifth of a cell.

    It has the most cells inked and the least ink on its borders. One line alone may be spoiled by what is printed
    beside or under it.
    """
    profiles = np.stack([_profile(strip) for strip in strips])
    width = profiles.shape[1]
    held = np.concatenate([np.zeros((len(profiles), 1), np.float32), profiles.cumsum(axis=1)], axis=1)
    best = (-np.inf, 0.0, 0.0)
    for pitch in np.linspace(0.80 * width / count, width / count, 81):
        starts = np.arange(0, max(1.0, width - count * pitch), pitch / 10)
        borders = np.clip(np.rint(starts[:, None] + np.arange(count + 1) * pitch).astype(int), 0, width - 1)
        inked = np.diff(held[:, borders], axis=2) / pitch
        scores = np.minimum(inked, 0.08).sum(axis=(0, 2)) / 0.08 - 2 * profiles[:, borders].sum(axis=(0, 2))
        top = int(scores.argmax())
        best = max(best, (float(scores[top]), float(starts[top]), float(pitch)))
    _, start, pitch = best
    return _Grid(start, pitch, tuple(_fullest(strip, pitch * CELL_HEIGHT / CELL_WIDTH) for strip in strips))


def _fullest(strip: Ink, tall: float) -> float:
    """Height of the line's middle: where a window as tall as a cell's glyphs holds the most ink."""
    profile = strip.sum(axis=1)
    window = np.ones(max(1, round(tall * 0.75)))
    held = np.convolve(profile, window, "same")
    best = np.flatnonzero(held >= held.max() * 0.995)
    return float(best.mean())


def _fitted(strips: Sequence[Ink], grid: _Grid, count: int) -> _Grid:
    """The grid moved and stretched to the glyphs that stand apart; as it was where too few do."""
    glyphs = [_glyphs(strip, grid.pitch) for strip in strips]
    left, _, wide, tall = np.concatenate(glyphs).T
    least = FITTED_WITH * count * len(strips)
    if len(left) < least:
        return grid
    across = left + wide / 2
    cells = _numbered(across, grid, count) + 0.5
    good, fitted = (cells > 0) & (cells < count), grid
    for _ in range(2):
        if good.sum() < least:
            return grid
        bend, pitch, start = map(float, np.polyfit(cells[good], across[good], 2))
        fitted = replace(grid, start=start, pitch=pitch, bend=bend)
        good &= np.abs(across - fitted.across(cells)) < 0.2 * pitch
    usual = float(np.percentile(tall, 75))
    middles = (_middle(some, usual, before) for some, before in zip(glyphs, grid.middles, strict=True))
    return replace(fitted, middles=tuple(middles))


def _numbered(across: Positions, grid: _Grid, count: int) -> Positions:
    """Which cell each glyph stands in, counted from its neighbours: cells may become wider along a line.

    All start where the grid says, or where the most of them are within the zone.
    """
    order = np.argsort(across)
    numbers = np.zeros(len(across))
    number, here = 0, [across[order[0]]]
    for index in order[1:]:
        step = round(float((across[index] - np.mean(here)) / grid.pitch))
        number, here = number + step, [*here, across[index]] if step == 0 else [across[index]]
        numbers[index] = number
    spare = count - 1 - number
    if spare < 0:
        inside = [((numbers >= first) & (numbers < first + count)).sum() for first in range(1 - spare)]
        return numbers - int(np.argmax(inside))
    seen = np.median((across - grid.start) / grid.pitch - 0.5 - numbers)
    return numbers + int(np.clip(np.rint(seen), 0, spare))


def _glyphs(strip: Ink, pitch: float) -> npt.NDArray[np.float64]:
    """Boxes (left, top, width, height) of the shapes that are as large as glyphs; a mark in the paper is fainter."""
    _, _, boxes, _ = cv2.connectedComponentsWithStats((strip > 0.5).astype(np.uint8))
    found = np.asarray(boxes[1:, :4], dtype=np.float64)
    wide, tall = found[:, 2] / pitch, found[:, 3] / pitch
    return found[(GLYPH_HIGH[0] < tall) & (tall < GLYPH_HIGH[1]) & (GLYPH_WIDE[0] < wide) & (wide < GLYPH_WIDE[1])]


def _middle(glyphs: npt.NDArray[np.float64], usual: float, before: float) -> float:
    """Height of a line's middle, by the letters and digits in it, which are all as tall; as before without some."""
    _, top, _, tall = glyphs[np.abs(glyphs[:, 3] - usual) < 0.12 * usual].T
    return float(np.median(top + tall / 2)) if len(top) >= 3 else before


def _cut(strip: Ink, grid: _Grid, middle: float, count: int) -> CellImages:
    across = (grid.pitch + grid.bend * count) / CELL_WIDTH
    columns = grid.across((np.arange(count * CELL_WIDTH) + 0.5) / CELL_WIDTH) - 0.5
    lines = middle + (np.arange(CELL_HEIGHT) + 0.5 - CELL_HEIGHT / 2) * across
    map_x, map_y = np.meshgrid(columns.astype(np.float32), lines.astype(np.float32))
    flat = np.asarray(cv2.remap(strip, map_x, map_y, cv2.INTER_LINEAR), dtype=np.float32)
    return flat.reshape(CELL_HEIGHT, count, CELL_WIDTH).transpose(1, 0, 2).copy()
