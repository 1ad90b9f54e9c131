"""Each front meets the back of the same name, whatever order they come in, and no image is lost."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.config.side_pattern import DEFAULT_SIDES, compile_sides
from cardbeam.inputs.pairing import pair_sides
from cardbeam.model.request import ImageRef

SIDES = compile_sides(DEFAULT_SIDES)


def _pairs(*uris: str, sides: str = DEFAULT_SIDES) -> list[tuple[str, ...]]:
    found = pair_sides(map(ImageRef, uris), compile_sides(sides))
    return [tuple(image.uri for image in pair) for pair in found]


@pytest.mark.parametrize(
    ("uris", "sides"),
    [
        (("s3://b/1_front.jpg", "s3://b/1_back.jpg"), DEFAULT_SIDES),
        (("s3://b/front/1.jpg", "s3://b/back/1.jpg"), DEFAULT_SIDES),
        (("s3://frontier/1_front.jpg", "s3://frontier/1_back.png"), DEFAULT_SIDES),
        (("1-recto.jpg", "1-verso.jpg"), "(?P<front>recto)|(?P<back>verso)"),
        (("1A.jpg", "1B.jpg"), r"(?P<front>A)\.|(?P<back>B)\."),
    ],
)
def test_two_sides_in_either_order(uris: tuple[str, str], sides: str):
    assert _pairs(*uris, sides=sides) == [uris]
    assert _pairs(*reversed(uris), sides=sides) == [uris]


def test_what_has_no_other_side_stays_alone():
    assert _pairs("1_front.jpg", "2_back.jpg", "selfie.jpg", "3_front.jpg", "3_front.png", "3_back.jpg") == [
        ("selfie.jpg",),
        ("3_front.png",),
        ("3_front.jpg", "3_back.jpg"),
        ("1_front.jpg",),
        ("2_back.jpg",),
    ]


@given(st.sets(st.tuples(st.integers(0, 30), st.sampled_from(["front", "back"]))), st.randoms(use_true_random=False))
def test_every_image_comes_once(names: set[tuple[int, str]], chance: random.Random):
    uris = [f"s3://b/{number}_{side}.jpg" for number, side in names]
    chance.shuffle(uris)
    pairs = _pairs(*uris)
    assert Counter(uri for pair in pairs for uri in pair) == Counter(uris)
    both = {number for number, _ in names if {(number, "front"), (number, "back")} <= names}
    assert {pair for pair in pairs if len(pair) == 2} == {
        (f"s3://b/{n}_front.jpg", f"s3://b/{n}_back.jpg") for n in both
    }


@pytest.mark.parametrize("pattern", ["(", "front|back", "(?P<front>front)"])
def test_a_pattern_that_tells_no_sides_is_refused(pattern: str):
    with pytest.raises(ValueError, match=r"expected|expression"):
        compile_sides(pattern)
