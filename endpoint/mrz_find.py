"""Aligned card -> the cells of its machine-readable zone: find the lines, cut them at a fixed pitch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from endpoint.mrz import Format
from endpoint.pictures import Pixels

CELL_WIDTH, CELL_HEIGHT = 16, 24
"""A cell as the glyph classifier takes it: width is 1.0 pitch, height 1.5 pitches."""
Cells = npt.NDArray[np.float32]
"""(n, CELL_HEIGHT, CELL_WIDTH): ink 1, paper 0."""
PAPER_PX = 27
"""Paper shows within so many pixels of any ink. A square: a round one of that size takes 10 ms a card, not one."""
_BINS = 60
Ink = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Band:
    """A line of the zone: rows `top` to `bottom` of the aligned card."""

    top: int
    bottom: int

    @property
    def middle(self) -> float:
        """Its centre line, pixels."""
        return (self.top + self.bottom) / 2


def zone_bands(grey: Pixels) -> list[Band]:
    """Lines that are inked from edge to edge at an even pitch, as only the zone's are; top to bottom."""
    ink = _ink(grey) > 0.5
    bins = np.array_split(ink[:, int(ink.shape[1] * 0.05) : int(ink.shape[1] * 0.95)], _BINS, axis=1)
    covered = np.stack([part.any(axis=1) for part in bins], axis=1).mean(axis=1)
    full = np.convolve(covered > 0.62, np.ones(3), "same") > 1
    edges = np.flatnonzero(np.diff(np.concatenate([[0], full.astype(np.int8), [0]])))
    bands = [Band(int(top), int(bottom)) for top, bottom in edges.reshape(-1, 2)]
    return [band for band in bands if 10 <= band.bottom - band.top <= 70 and _reaches_across(ink, band)]


def without_zone(grey: Pixels, bands: Sequence[Band]) -> Pixels:
    """The card with its zone painted over: the page pass makes nothing of it, and takes a third longer for that."""
    if len(bands) < 2:
        return grey
    painted = grey.copy()
    for band in bands:
        painted[max(0, band.top - 4) : band.bottom + 4] = 235
    return painted


def _reaches_across(ink: npt.NDArray[np.bool_], band: Band) -> bool:
    line = ink[band.top : band.bottom]
    covered = [
        part.any()
        for part in np.array_split(line[:, int(line.shape[1] * 0.06) : int(line.shape[1] * 0.94)], _BINS, axis=1)
    ]
    return float(np.mean(covered)) > 0.93


def _ink(grey: Pixels) -> Ink:
    """How inked each pixel is, 0 to 1, against the paper around it."""
    paper = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, np.ones((PAPER_PX, PAPER_PX), np.uint8))
    depth = np.asarray(cv2.subtract(paper, grey), dtype=np.float32)
    reach = max(30.0, float(np.percentile(depth[::3, ::3], 98)))
    return np.asarray(np.minimum(depth / np.float32(reach), 1), dtype=np.float32)


def zone_cells(grey: Pixels, bands: Sequence[Band], layout: Format) -> Cells | None:
    """The last bands cut into the format's cells, (lines * cells, 24, 16); None where they don't fit."""
    wanted = len(layout.masks)
    if len(bands) < wanted:
        return None
    ink = _ink(grey)
    strips = [_strip(ink, band) for band in bands[-wanted:]]
    start, pitch = _grid(np.stack([_profile(strip) for strip in strips]), len(layout.masks[0]))
    return np.concatenate([_cut(strip, start, pitch, len(layout.masks[0])) for strip in strips])


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
    """Slope of the line and its height at the left edge, from the ink's centre in eight parts."""
    pad = (band.bottom - band.top) // 4
    top = max(0, band.top - pad)
    part = ink[top : band.bottom + pad]
    rows = np.arange(part.shape[0], dtype=np.float32)[:, None]
    edges = np.linspace(part.shape[1] * 0.04, part.shape[1] * 0.96, 9).astype(int)
    points = []
    for left, right in pairwise(edges):
        weight = part[:, left:right]
        if weight.sum() > 1:
            points.append(((left + right) / 2, top + float((weight * rows).sum() / weight.sum())))
    if len(points) < 4:
        return 0.0, band.middle
    across, down = np.array(points).T
    slope, offset = np.polyfit(across, down, 1)
    return float(slope), float(offset)


def _grid(profiles: Ink, count: int) -> tuple[float, float]:
    """Left edge of the first cell and the pitch, in pixels, common to all lines.

    Of all grids a zone can have (80 to 100 % of the card's width), the one with the most cells inked and
    the least ink on its borders. One line alone may be spoiled by what is printed beside or under it.
    """
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
    return best[1], best[2]


def _centre(strip: Ink, tall: float) -> float:
    """Height of the line's centre: where a window as tall as a cell's glyphs holds the most ink."""
    profile = strip.sum(axis=1)
    window = np.ones(max(1, round(tall * 0.75)))
    held = np.convolve(profile, window, "same")
    best = np.flatnonzero(held > held.max() * 0.995)
    return float(best.mean())


def _cut(strip: Ink, start: float, pitch: float, count: int) -> Cells:
    across, centre = pitch / CELL_WIDTH, _centre(strip, pitch * CELL_HEIGHT / CELL_WIDTH)
    columns = start + (np.arange(count * CELL_WIDTH) + 0.5) * across - 0.5
    lines = centre + (np.arange(CELL_HEIGHT) + 0.5 - CELL_HEIGHT / 2) * across
    map_x, map_y = np.meshgrid(columns.astype(np.float32), lines.astype(np.float32))
    flat = np.asarray(cv2.remap(strip, map_x, map_y, cv2.INTER_LINEAR), dtype=np.float32)
    return flat.reshape(CELL_HEIGHT, count, CELL_WIDTH).transpose(1, 0, 2).copy()
