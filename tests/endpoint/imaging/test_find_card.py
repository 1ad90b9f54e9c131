"""Every card on an image is outlined to a few pixels, and boxes find their way back through all turns."""

from __future__ import annotations

from random import Random

import cv2
import numpy as np
import pytest

from endpoint.imaging.find_card import find_cards, search_image
from endpoint.imaging.rectify import CARD_PX, rectify, to_source_box, turned

CARD = (720, 454)


def table(width: int = 1400, height: int = 1000) -> np.ndarray:
    grain = np.random.default_rng(3).normal(0, 6, (height, width, 1))
    return np.clip(np.array([60, 50, 44]) + grain, 0, 255).astype(np.uint8)


def lay(image: np.ndarray, corners: np.ndarray, colour: tuple[int, int, int] = (225, 236, 240)) -> np.ndarray:
    return cv2.fillConvexPoly(image.copy(), np.rint(corners).astype(np.int32), colour)


def outline(x: float, y: float, degrees: float, *, moved: float = 0.0, seed: int = 0) -> np.ndarray:
    """Corners of a card with its middle at x, y, turned, each corner moved by up to `moved` pixels."""
    random, angle = Random(seed), np.deg2rad(degrees)
    half = np.array(CARD) / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moves = [[random.uniform(-moved, moved) for _ in range(2)] for _ in range(4)]
    return corners @ turn.T + (x, y) + np.array(moves)


def farthest(found: np.ndarray, true: np.ndarray) -> float:
    """The largest distance of a found corner to the nearest true one."""
    return float(max(np.linalg.norm(true - corner, axis=1).min() for corner in found))


@pytest.mark.parametrize("degrees", [0, 5, -12, 30, 88, 180])
@pytest.mark.parametrize("moved", [0, 35])
def test_one_card_is_outlined_however_it_lies(degrees: float, moved: float) -> None:
    true = outline(700, 500, degrees, moved=moved, seed=int(degrees) + 200)
    (found,) = find_cards(search_image(lay(table(), true)))
    assert farthest(found, true) < 6


def test_things_that_touch_the_card_are_left_out() -> None:
    true = outline(700, 500, 4)
    image = lay(table(), true)
    image[430:520, 1050:1150] = (150, 60, 60)
    cv2.line(image, (200, 100), (500, 330), (200, 200, 60), 8)
    (found,) = find_cards(search_image(image))
    assert farthest(found, true) < 8


@pytest.mark.parametrize("across", [250, 700, 1100])
def test_a_shadow_over_part_of_a_patterned_card_moves_no_side_of_it(across: int) -> None:
    true = outline(700, 500, -5)
    image = lay(table(), true)
    for top in range(300, 720, 9):
        cv2.line(image, (400, top), (990, top - 40), (150, 190, 180), 2)
    shade = 1 - 0.62 / (1 + np.exp((np.arange(1400) - across) / 14.0))
    (found,) = find_cards(search_image((image * shade[None, :, None]).astype(np.uint8)))
    assert farthest(found, true) < 8


def test_the_next_choice_is_another_outline_of_the_same_card() -> None:
    """A card on a sheet of film: its own outline, then the film's."""
    true = outline(700, 500, 4)
    film = true.mean(axis=0) + (true - true.mean(axis=0)) * 1.3
    search = search_image(lay(lay(table(), film, (140, 140, 136)), true))
    (first,), (second,) = (find_cards(search, choice=choice) for choice in range(2))
    assert farthest(first, true) < 6
    assert farthest(second, film) < 6


def test_several_cards_are_found_in_reading_order() -> None:
    places = [(420, 320, 3), (1250, 330, -4), (430, 900, 2), (1240, 890, 0)]
    image = table(1700, 1250)
    for place in places:
        image = lay(image, outline(*place))
    found = find_cards(search_image(image))
    assert [tuple(np.rint(quad.mean(axis=0) / 100).astype(int)) for quad in found] == [
        (round(x / 100), round(y / 100)) for x, y, _ in places
    ]


@pytest.mark.parametrize("image", [table(), np.full((700, 1000, 3), 255, np.uint8)], ids=["table", "white"])
def test_where_no_card_is_none_is_found(image: np.ndarray) -> None:
    assert find_cards(search_image(image)) == []


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_a_box_on_the_card_goes_back_to_the_image(quarters: int, scale: float) -> None:
    image = lay(table(), outline(700, 500, 0))
    image[480:500, 600:680] = 0
    (corners,) = find_cards(search_image(image))
    card = turned(rectify(image, corners), quarters)
    dark_y, dark_x = np.nonzero(card.pixels.sum(axis=2) < 200)
    box = (dark_x.min(), dark_y.min(), dark_x.max() + 1, dark_y.max() + 1)
    assert to_source_box(card, scale, box) == pytest.approx(
        [600 * scale, 480 * scale, 680 * scale, 500 * scale], abs=4 * scale
    )


def test_an_aligned_card_is_a_thousand_pixels_wide_and_without_its_surroundings() -> None:
    card = rectify(
        lay(table(), outline(700, 500, 10)), find_cards(search_image(lay(table(), outline(700, 500, 10))))[0]
    )
    assert card.pixels.shape[1] == CARD_PX
    assert abs(card.pixels.shape[0] - 630) < 8
    assert card.pixels.min() > 150


@pytest.mark.parametrize(
    ("sheet", "laid"), [((600, 1000), (600, 1000)), ((4000, 2000), (2000, 1000)), ((4000, 1000), (2828, 707))]
)
def test_a_whole_sheet_is_laid_flat_in_at_most_two_megapixels(sheet: tuple[int, int], laid: tuple[int, int]) -> None:
    whole = rectify(np.zeros((*sheet, 3), dtype=np.uint8), None)
    assert whole.pixels.shape[:2] == laid
    assert to_source_box(whole, 1.0, (0, 0, laid[1], laid[0])) == pytest.approx((0, 0, sheet[1], sheet[0]))


@pytest.mark.parametrize("points", [1, 2, 3, 5, 9])
def test_any_shape_is_no_failure(points: int) -> None:
    random = np.random.default_rng(points)
    for side in (100, 400, 1500):
        image = np.zeros((side, side, 3), np.uint8)
        cv2.fillPoly(image, [random.integers(0, side, (points, 2)).astype(np.int32)], (255, 255, 255))
        assert all(np.isfinite(corners).all() for corners in find_cards(search_image(image)))


def test_a_triangle_is_no_card() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    cv2.fillPoly(image, [np.array([[20, 380], [380, 380], [200, 20]], np.int32)], (255, 255, 255))
    assert find_cards(search_image(image)) == []
