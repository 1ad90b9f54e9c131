"""What is blurred is sharpened strip by strip as it would be in one piece."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from endpoint.imaging.enhance import BLUR_NOISE, BLUR_PX, Plane, measured, unblur, without_faint


def in_one_piece(grey: Plane) -> Plane:
    """Wiener's filter as numpy writes it."""
    down, across = np.fft.fftfreq(grey.shape[0])[:, None], np.fft.rfftfreq(grey.shape[1])[None]
    passed = np.exp(-2 * (np.pi * BLUR_PX) ** 2 * (down**2 + across**2))
    ink = np.fft.irfft2(np.fft.rfft2(1 - grey) * passed / (passed**2 + BLUR_NOISE), grey.shape)
    return np.asarray(1 - ink, dtype=np.float32)


@pytest.mark.parametrize("shape", [(630, 1000), (631, 999), (64, 65), (1, 7)])
def test_strips_make_no_difference(shape: tuple[int, int]) -> None:
    grey = np.random.default_rng(7).random(shape, dtype=np.float32)
    expected = in_one_piece(grey)
    unblur(grey, BLUR_PX, BLUR_NOISE)
    assert np.allclose(grey, expected, atol=1e-5)


def test_a_blur_is_measured_and_taken_back() -> None:
    crisp = np.ones((400, 600), dtype=np.float32)
    for left in range(60, 540, 12):
        crisp[180:220, left : left + 3] = 0
    soft = np.asarray(cv2.GaussianBlur(crisp, (0, 0), 2), dtype=np.float32)
    sharpened = soft.copy()
    unblur(sharpened, BLUR_PX, BLUR_NOISE)
    assert measured(soft).sharpness < measured(sharpened).sharpness
    assert np.abs(sharpened - crisp).mean() < 0.6 * np.abs(soft - crisp).mean()


def test_what_is_fainter_than_print_is_left_out() -> None:
    grey = np.array([[235, 190, 150, 60, 20]], np.uint8)
    paper, pattern, label, dark, ink = without_faint(grey)[0].tolist()
    assert (paper, pattern, dark, ink) == (235, 235, 20, 20)
    assert 150 < label < 235
