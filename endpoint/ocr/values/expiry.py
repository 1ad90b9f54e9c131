"""The day a card expires, by its place under the portrait: it is the smallest print, and its label is lost first."""

from __future__ import annotations

import cv2
import numpy as np

from endpoint.imaging.decode import Pixels
from endpoint.ocr.card_templates import Side
from endpoint.ocr.engine import TextEngine
from endpoint.ocr.second_pass import brought_back
from endpoint.ocr.text_lines import rows_of
from endpoint.ocr.value_words import Reading, read_words

UNDER_PORTRAIT = (0.02, 0.8, 0.36, 0.99)
"""Left, top, right and bottom, in shares of the card."""
ZOOM = 2.2
FIELD = "due_date"
SIDES_WITH_PORTRAIT = ("12_id_card_front", "chip_id_card_front", "driving_license")


def with_expiry(engine: TextEngine, grey: Pixels, side: Side, readings: dict[str, Reading]) -> dict[str, Reading]:
    """The readings, with the date under the portrait where the day of expiry was not found by its label."""
    label = next((label for label in side.labels if label.field == FIELD), None)
    if label is None or side.document_type not in SIDES_WITH_PORTRAIT or FIELD in readings:
        return readings
    height, width = grey.shape
    left, top, right, bottom = (
        round(share * of) for share, of in zip(UNDER_PORTRAIT, 2 * (width, height), strict=True)
    )
    large = cv2.resize(grey[top:bottom, left:right], None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC)
    words = [brought_back(word, left, top, ZOOM) for word in engine.words(np.asarray(large, dtype=np.uint8))]
    found = (read_words(row.words, label) for row in rows_of(words)) if words else iter(())
    reading = next((one for one in found if one is not None), None)
    return readings if reading is None else {**readings, FIELD: reading}
