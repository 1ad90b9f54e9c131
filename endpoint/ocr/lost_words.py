"""Letters before or after the words of a value that no pass has read: they are read again, or the value is doubted.

Tesseract is sure of the words it has: of "Xã Vĩnh Quang" it may say "Vĩnh Quang" at 0.96.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np

from endpoint.imaging.decode import Pixels
from endpoint.ocr.card_templates import Label, Side, Value
from endpoint.ocr.engine import TextEngine
from endpoint.ocr.second_pass import FILLS, MORE_VIEWS, VIEWS, confidence, lines_of_words, read_line
from endpoint.ocr.value_words import Box, Reading, box_around, read_words
from endpoint.ocr.values.field_values import Labelled

INK_BELOW = 140
"""Grey levels under which an enhanced card is inked."""
LETTER_HEIGHTS, MAX_LETTER_WIDTH = (0.45, 1.5), 1.8
"""A letter is so tall and at most so wide, in heights of its line."""
OFF_LINE = 0.35
"""Its foot is at most so far from the line's, in heights of the line: marks below a letter are part of it."""
FEWEST_LETTERS = 2
REACH, SPACE = 7.0, 0.35
"""After a value so many line heights are looked at, beyond so much of a space."""
LOST = 0.5
"""What the confidence of a value is multiplied by that has lost a word."""
TEXTS = (Value.TEXT, Value.LINES)
WHOLE_VIEWS = (*VIEWS[:2], MORE_VIEWS[1])
"""In turn until one shows the whole: of a line that is read in one, another may show nothing."""


def with_lost_words(
    engine: TextEngine, grey: Pixels, side: Side, sheet: Labelled, readings: Mapping[str, Reading]
) -> dict[str, Reading]:
    """The readings; those of texts with letters beside them whole, or half as sure."""
    labels = {label.field: label for label in side.labels if label.value in TEXTS}
    taken = [reading.box for reading in readings.values()]
    return {
        field: _whole(engine, grey, labels[field], reading, _beside(grey, labels[field], sheet, reading, taken))
        if field in labels
        else reading
        for field, reading in readings.items()
    }


def _beside(
    grey: Pixels, label: Label, sheet: Labelled, reading: Reading, taken: Sequence[Box]
) -> tuple[Box | None, Box | None]:
    """Where letters stand before the value and after it; None where none do."""
    before, after = _front(label, sheet, reading), _end(grey, sheet, reading, taken)
    return (
        before if before and letters_in(grey, before) >= FEWEST_LETTERS else None,
        after if after and letters_in(grey, after) >= FEWEST_LETTERS else None,
    )


def _whole(
    engine: TextEngine, grey: Pixels, label: Label, reading: Reading, beside: tuple[Box | None, Box | None]
) -> Reading:
    before, after = beside
    if before is None and after is None:
        return reading
    boxes = [box_around(line) for line in lines_of_words(reading.words)]
    if before is not None:
        boxes[0] = (before[0], *boxes[0][1:])
    if after is not None:
        boxes[-1] = (*boxes[-1][:2], after[2], boxes[-1][3])
    for view in WHOLE_VIEWS:
        again = read_words([word for box in boxes for word in read_line(engine, grey, box, view)], label)
        is_longer = again is not None and len(again.value) > len(reading.value)
        if again and is_longer and confidence(again) >= FILLS and again.value.isupper() >= reading.value.isupper():
            return again
    return replace(reading, words=tuple(replace(word, confidence=word.confidence * LOST) for word in reading.words))


def _front(label: Label, sheet: Labelled, reading: Reading) -> Box | None:
    """From the end of the label on the value's own line to its first word, or from below the label's beginning."""
    first = lines_of_words(reading.words)[0]
    left, top, _, bottom = box_around(first)
    ends = [
        sheet.rows[stand.row].words[stand.stop - 1].right
        for stand in sheet.placed
        if stand.field == label.field
        and _overlaps(sheet.rows[stand.row].top, sheet.rows[stand.row].bottom, top, bottom)
    ]
    space = SPACE * (bottom - top)
    margins = [sheet.rows[p.row].words[p.start].left for p in sheet.placed if p.field == label.field and not ends]
    start = max((end for end in ends if end < left), default=min([*margins, left]) - 2 * space) + space
    return (start, top, left - space, bottom) if left - space - start > bottom - top else None


def _end(grey: Pixels, sheet: Labelled, reading: Reading, taken: Sequence[Box]) -> Box | None:
    """From the value's last word as far as one more may reach, no further than the next label or value."""
    _, top, right, bottom = box_around(lines_of_words(reading.words)[-1])
    height = bottom - top
    stops = [
        sheet.rows[stand.row].words[stand.start].left
        for stand in sheet.placed
        if _overlaps(sheet.rows[stand.row].top, sheet.rows[stand.row].bottom, top, bottom)
    ]
    stops += [left for left, other_top, _, other_bottom in taken if _overlaps(other_top, other_bottom, top, bottom)]
    stop = min((stop for stop in stops if stop > right), default=0.98 * grey.shape[1]) - SPACE * height
    stop = min(stop, right + REACH * height)
    start = right + SPACE * height
    return (start, top, stop, bottom) if stop - start > height else None


def _overlaps(top: float, bottom: float, other_top: float, other_bottom: float) -> bool:
    return min(bottom, other_bottom) - max(top, other_top) > 0


def letters_in(grey: Pixels, box: Box) -> int:
    """How many shapes of letters stand in a box that is as tall as its line. A pure function of the pixels."""
    left, top, right, bottom = box
    height = bottom - top
    y0, x0 = max(0, round(top - 0.3 * height)), max(0, round(left))
    crop = grey[y0 : round(bottom + 0.3 * height), x0 : round(right)]
    if not crop.size:
        return 0
    _, _, stats, _ = cv2.connectedComponentsWithStats(np.asarray(crop < INK_BELOW, dtype=np.uint8), connectivity=8)
    return sum(
        LETTER_HEIGHTS[0] * height <= tall <= LETTER_HEIGHTS[1] * height
        and wide <= MAX_LETTER_WIDTH * height
        and abs(y0 + up + tall - bottom) <= OFF_LINE * height
        and area >= 0.12 * wide * tall
        for _, up, wide, tall, area in stats[1:].tolist()
    )
