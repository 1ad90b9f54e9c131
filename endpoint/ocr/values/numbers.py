"""Readings with the number of the card judged digit by digit, and what the number itself says against a reading."""

from __future__ import annotations

from dataclasses import replace

from endpoint.imaging.decode import Pixels
from endpoint.ocr.digit_classifier import DigitReader, Number
from endpoint.ocr.label_matching import LENGTHS
from endpoint.ocr.value_words import Reading

PERSON_NUMBER_LENGTHS = (9, 12)
"""Of the identity number that a passport repeats."""
MAX_WRONG_LENGTH_CONFIDENCE = 0.5
"""How sure a number may be said to be at most that has fewer or more digits than its type has."""


MAX_TEXT_CONFIDENCE = 0.97
"""Tesseract is never surer than that."""
DISAGREED = 0.9
"""What a digit's sureness is multiplied by that shape and text do not agree on."""
PLAIN = 0.97
"""A shape so surely a 3 is one, with a flat top, whatever text says of it."""


def with_number(
    reader: DigitReader, card: Pixels, document_type: str, readings: dict[str, Reading]
) -> dict[str, Reading]:
    """The readings, the number's by the shapes of its digits, where these are as many as there must be."""
    length, reading = LENGTHS.get(document_type), readings.get("id")
    if length is None or reading is None:
        return readings
    number = reader.read(card, reading.box)
    if number is None or len(number.digits) != length:
        return readings
    return {**readings, "id": merged(reading, number)}


def merged(reading: Reading, number: Number) -> Reading:
    """Digit by digit what is likelier by shape and text together; as sure as the least sure digit, and less where
    they differ. Tesseract reads a flat-topped 3 as a 5 at any confidence, so there the shape decides.
    """
    text = reading.value if len(reading.value) == len(number.digits) else ""
    text_sure = min(MAX_TEXT_CONFIDENCE, *(word.confidence for word in reading.words))
    digits, sure = "", 1.0
    for index, (by_shape, shape_sure) in enumerate(zip(number.digits, number.confidence, strict=True)):
        by_text = text[index] if text else by_shape
        if by_text == by_shape or ((by_text, by_shape) == ("5", "3") and shape_sure >= PLAIN):
            digits, sure = digits + by_shape, min(sure, shape_sure)
        elif shape_sure >= text_sure or (by_text, by_shape) == ("5", "3"):
            digits, sure = digits + by_shape, min(sure, shape_sure * DISAGREED)
        else:
            digits, sure = digits + by_text, min(sure, text_sure * DISAGREED)
    if not text:
        sure *= DISAGREED
    words = tuple(replace(word, confidence=min(sure, MAX_TEXT_CONFIDENCE)) for word in reading.words)
    return Reading(digits, reading.box, words)


def limited(document_type: str, number: str, confidence: float, *, field: str = "id") -> float:
    """How sure a number may be said to be: a wrong length is a digit lost or too many."""
    length = LENGTHS.get(document_type)
    lengths = PERSON_NUMBER_LENGTHS if field == "person_number" else (length,) if length else ()
    is_whole = not lengths or len(number) in lengths
    return confidence if is_whole else min(confidence, MAX_WRONG_LENGTH_CONFIDENCE)
