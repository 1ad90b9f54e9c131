"""A card that runs over the image's edge is laid flat by the sides that are seen; a whole card is never taken so."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from endpoint.imaging.find_card import search_image
from endpoint.imaging.find_cut_card import find_cut_card
from endpoint.reader.card_reader import candidate_layouts
from tests.endpoint.imaging.test_find_card import farthest, lay, outline, table

OFF = 90
"""Pixels of the card, 720 wide, that are outside the image."""


def cut_image(degrees: float, *, left: bool, top: bool) -> tuple[np.ndarray, np.ndarray]:
    """An image that ends within the card on two sides, and the card's corners in its pixels."""
    true = outline(700, 500, degrees)
    low, high = true.min(axis=0) + OFF, true.max(axis=0) - OFF
    x0, x1 = (round(low[0]), 1400) if left else (0, round(high[0]))
    y0, y1 = (round(low[1]), 1000) if top else (0, round(high[1]))
    return np.ascontiguousarray(lay(table(), true)[y0:y1, x0:x1]), true - (x0, y0)


@pytest.mark.parametrize("degrees", [-9, -3, 0, 6])
@pytest.mark.parametrize(("left", "top"), [(True, True), (True, False), (False, True), (False, False)])
def test_the_corner_that_is_seen_is_found_and_the_card_lies_as_it_does(degrees: float, left: bool, top: bool) -> None:
    image, true = cut_image(degrees, left=left, top=top)
    found = find_cut_card(search_image(image))
    assert found is not None
    seen = true[[(corner > 20).all() and (corner < np.array(image.shape[1::-1]) - 20).all() for corner in true]]
    assert len(seen)
    assert farthest(seen, found) < 8
    across = found[1] - found[0]
    assert np.rad2deg(np.arctan2(across[1], across[0])) == pytest.approx(degrees, abs=1.5)
    (card,) = next(candidate_layouts(image))
    assert card.cut


def white_paper() -> np.ndarray:
    """A card on a sheet of paper that runs over the image's edge: the paper is no card."""
    return lay(
        lay(table(), np.array([[300, -50], [1450, -50], [1450, 900], [300, 900]]), (240, 240, 238)),
        outline(860, 450, 3),
        (150, 190, 210),
    )


@pytest.mark.parametrize(
    "image",
    [lay(table(), outline(700, 500, 8)), table(), np.full((630, 1000, 3), 230, np.uint8), white_paper()],
    ids=["a whole card", "a table", "a card edge to edge", "a card on paper"],
)
def test_nothing_is_missing_from_a_whole_card(image: np.ndarray) -> None:
    assert not any(card.cut for card in next(candidate_layouts(image)))


def test_several_cards_are_no_cut_one() -> None:
    image = table(1700, 1250)
    for place in ((420, 320, 3), (1250, 330, -4), (430, 900, 2), (1240, 890, 0)):
        image = lay(image, outline(*place))
    cv2.line(image, (0, 620), (1700, 640), (200, 190, 60), 10)
    cards = list(next(candidate_layouts(image)))
    assert (len(cards), [card.cut for card in cards]) == (4, [False] * 4)
