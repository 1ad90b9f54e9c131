"""Numbers are judged by the shapes of their digits, and by text and shape together."""

from __future__ import annotations

import numpy as np
import pytest

from endpoint.ocr.digit_classifier import DIGITS, DigitReader, Number, cut_digits
from endpoint.ocr.engine import Word
from endpoint.ocr.value_words import Reading
from endpoint.ocr.values.numbers import limited, merged, with_number
from specimens.training.train_digits import drawn
from tests.specimens.fonts import needs_fonts


def given(text: str, confidence: float) -> Reading:
    word = Word(text, 10, 10, 200, 40, confidence)
    return Reading(text, (10, 10, 200, 40), (word,))


@needs_fonts
def test_drawn_digits_are_known_by_their_shapes() -> None:
    random, reader, same = np.random.default_rng(3), DigitReader(), []
    for _ in range(40):
        digits = random.integers(0, 10, 12)
        number = reader.read(*drawn(digits, random))
        if number is not None and len(number.digits) == len(digits):  # others touch, or lost a part
            same += [DIGITS[digit] == read for digit, read in zip(digits, number.digits, strict=True)]
    assert len(same) >= 300
    assert np.mean(same) >= 0.98


def test_an_empty_place_has_no_digits() -> None:
    white = np.full((60, 300, 3), 240, np.uint8)
    assert cut_digits(white, (10, 10, 200, 12)) is None
    assert DigitReader().read(white, (10, 10, 290, 50)) is None


@pytest.mark.parametrize(
    ("text", "confidence", "shape", "confidences", "number", "least", "most"),
    [
        ("012", 0.96, "012", (1.0, 0.99, 0.98), "012", 0.96, 0.97),
        ("052", 0.96, "032", (1.0, 0.80, 1.0), "032", 0.7, 0.73),
        ("052", 0.96, "032", (1.0, 0.99, 1.0), "032", 0.96, 0.97),
        ("012", 0.96, "042", (1.0, 0.90, 1.0), "012", 0.8, 0.9),
        ("012", 0.60, "042", (1.0, 0.90, 1.0), "042", 0.8, 0.82),
        ("0123", 0.96, "012", (1.0, 1.0, 1.0), "012", 0.85, 0.91),
    ],
    ids=["agreed", "flat-topped 3", "plainly a flat-topped 3", "text surer", "shape surer", "another length"],
)
def test_text_and_shape_decide_together(
    text: str, confidence: float, shape: str, confidences: tuple[float, ...], number: str, least: float, most: float
) -> None:
    reading = merged(given(text, confidence), Number(shape, confidences))
    assert reading.value == number
    assert least <= reading.words[0].confidence <= most


def test_a_number_of_another_length_is_no_more_than_a_guess() -> None:
    assert limited("12_id_card_front", "01234567890", 0.98) == 0.5
    assert limited("12_id_card_front", "012345678901", 0.98) == 0.98
    assert limited("passport", "B1234567", 0.98) == 0.98
    assert limited("passport", "01234567890", 0.98, field="person_number") == 0.5
    assert limited("passport", "012345678", 0.98, field="person_number") == 0.98


def test_what_has_no_digits_of_its_own_stays_as_it_was_read() -> None:
    white, readings = np.full((60, 300, 3), 240, np.uint8), {"id": given("012345678901", 0.9)}
    assert with_number(DigitReader(), white, "12_id_card_front", readings) == readings
    assert with_number(DigitReader(), white, "passport", readings) == readings
