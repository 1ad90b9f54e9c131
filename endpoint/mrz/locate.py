"""Aligned card -> the lines of its machine-readable zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from endpoint.imaging.decode import Pixels

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
    ink = ink_of(grey) > 0.5
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


def ink_of(grey: Pixels) -> Ink:
    """How inked each pixel is, 0 to 1, against the paper around it."""
    paper = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, np.ones((PAPER_PX, PAPER_PX), np.uint8))
    depth = np.asarray(cv2.subtract(paper, grey), dtype=np.float32)
    reach = max(30.0, float(np.percentile(depth[::3, ::3], 98)))
    depth /= np.float32(reach)
    return np.minimum(depth, 1, out=depth)
