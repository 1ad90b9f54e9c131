"""Aligned card -> grey pixels made easy to read: evenly lit, less grainy, sharper, each only where it is needed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from endpoint.pictures import Pixels

Plane = npt.NDArray[np.float32]
MARGIN = 30
"""Pixels left out all around when sharpness is measured: the card's own edge is sharp or not for other reasons."""
GRAINY = 5.0
"""Median Laplacian, in hundredths of the contrast, above which a picture is smoothed first: dark shots, screens."""
SOFT = 0.34
"""Sharpness under which a picture is sharpened; sharpening a clean one hurts."""
BLUR_PX, BLUR_NOISE = 1.8, 0.003
"""The blur taken back from soft pictures, and the noise allowed for."""
MOST_GLARE = 0.94
"""Share of a reflection beyond which nothing is left to bring out."""


@dataclass(frozen=True, slots=True)
class Clarity:
    """What was measured on a card: grain in hundredths of its contrast, and sharpness.

    Sharpness is the energy of the second derivative in that of the first, so that it does not depend
    on how much is printed: about 1 where strokes are crisp, 0.5 at a blur of 1.2 pixels, 0.3 at 2.
    """

    grain: float
    sharpness: float


def measured(grey: Plane) -> Clarity:
    """Grain and sharpness of a card whose ink and paper lie near 0 and 1."""
    grain = float(np.median(np.abs(cv2.Laplacian(grey, cv2.CV_32F)[::3, ::3]))) * 100
    smooth = cv2.GaussianBlur(grey[MARGIN:-MARGIN, MARGIN:-MARGIN], (0, 0), 1.0)
    slopes = [np.asarray(cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx, scale=1 / 8)) for dx in (0, 1)]
    slope = float(np.mean(slopes[0] ** 2 + slopes[1] ** 2))
    return Clarity(grain, float(np.mean(cv2.Laplacian(smooth, cv2.CV_32F) ** 2)) / max(1e-9, slope))


def readable(pixels: Pixels) -> Pixels:
    """RGB of an aligned card -> grey for the page pass."""
    grey = _lit(pixels)
    clarity = measured(grey)
    if clarity.grain > GRAINY:
        grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), 1.0), dtype=np.float32)
    elif clarity.sharpness < SOFT:
        grey = _unblurred(grey, BLUR_PX, BLUR_NOISE)
    return np.asarray(np.clip(20 + 215 * grey, 0, 255), dtype=np.uint8)


def _lit(pixels: Pixels) -> Plane:
    """Grey in shares of the paper around it, without shade (lifted up to four times) and without reflections."""
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.float32)
    paper = np.maximum(_paper(grey), 0.25 * float(np.percentile(grey[::4, ::4], 90)))
    depth = (1 - grey / np.maximum(paper, 1)) / (1 - _glare(pixels))
    return np.asarray(1 - np.minimum(depth, 1), dtype=np.float32)


def _glare(pixels: Pixels) -> Plane:
    """The share of each pixel's light that is a reflection, 0 to 0.94: how far its paper is on the way to white.

    Seen in the channel the card's own tint leaves darkest; on a white card it is not to be told.
    """
    small = cv2.resize(pixels, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    paper = _paper_of(np.asarray(small.min(axis=2), dtype=np.float32))
    usual = float(np.median(paper))
    if not 120 < usual < 242:  # dark is the table around a card without an outline, or a shot without a lamp
        return np.zeros(pixels.shape[:2], dtype=np.float32)
    share = (paper - usual) / np.float32(255 - usual)
    return _at_size(np.where(share > 0.3, np.minimum(share, MOST_GLARE), 0), pixels.shape[:2])


def _unblurred(grey: Plane, sigma: float, noise: float) -> Plane:
    """Wiener's filter for a Gaussian of that many pixels; `noise` is what keeps it from sharpening grain."""
    height, width = grey.shape
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    passed = np.exp(-2 * (np.pi * sigma) ** 2 * (down**2 + across**2))
    ink = np.fft.irfft2(np.fft.rfft2(1 - grey) * passed / (passed**2 + noise), (height, width))
    return np.asarray(1 - ink, dtype=np.float32)


def _paper(grey: Plane) -> Plane:
    """The brightness of the card under its print, found at a quarter of the size."""
    small = cv2.resize(grey, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    return _at_size(_paper_of(np.asarray(small, dtype=np.float32)), grey.shape)


def _paper_of(small: Plane) -> Plane:
    """The brightest nearby, smoothed."""
    closed = cv2.morphologyEx(small, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13)))
    return np.asarray(cv2.GaussianBlur(closed, (0, 0), 3), dtype=np.float32)


def _at_size(small: Plane, shape: tuple[int, ...]) -> Plane:
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(small.astype(np.float32), size, interpolation=cv2.INTER_LINEAR), dtype=np.float32)
