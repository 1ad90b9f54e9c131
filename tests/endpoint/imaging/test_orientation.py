"""Which way up a card lies is told before it is read; the turns to try are all there, whatever is shown."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from endpoint.imaging.decode import Pixels, open_sheets
from endpoint.imaging.enhance import enhance
from endpoint.imaging.find_card import find_cards, search_image
from endpoint.imaging.orientation import turns_to_try
from endpoint.imaging.rectify import rectify
from tests.endpoint.conftest import ROOT

CARDS = [*sorted((ROOT / "cards").glob("chip-[fb]*.*")), *sorted((ROOT / "cards").glob("passport-*.jpg"))]


def level(image: bytes) -> Pixels:
    sheet = next(iter(open_sheets(image))).pixels
    corners = find_cards(search_image(sheet))
    return enhance(rectify(sheet, corners[0] if corners else None).pixels)


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
@pytest.mark.parametrize("turn", range(4))
def test_the_first_turn_puts_the_card_upright(path: Path, turn: int) -> None:
    lying = np.ascontiguousarray(np.rot90(level(path.read_bytes()), -turn))  # all bundled cards are upright
    assert turns_to_try(lying, any_quarter=True)[0] == turn
    if turn in (0, 2):
        assert turns_to_try(lying, any_quarter=False)[0] == turn


@pytest.mark.parametrize("shape", [(630, 1000), (4000, 1000), (100, 1000)])
def test_every_turn_is_tried_where_nothing_is_printed(shape: tuple[int, int]) -> None:
    blank = np.full(shape, 235, dtype=np.uint8)
    noise = np.asarray(cv2.randu(blank.copy(), 0, 255), dtype=np.uint8)
    for grey in (blank, noise):
        assert sorted(turns_to_try(grey, any_quarter=True)) == [0, 1, 2, 3]
        assert sorted(turns_to_try(grey, any_quarter=False)) == [0, 2]
