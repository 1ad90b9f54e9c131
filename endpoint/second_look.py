"""Unsure or missing readings -> readings of the same lines cropped and enlarged, wherever those are surer.

Costs 15 to 25 ms a line, so only what the page pass was unsure of is looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from endpoint.anchors import Placed
from endpoint.fields import Box, Labelled, Reading, box_around, read_words
from endpoint.page import TextEngine, Word
from endpoint.pictures import Pixels
from endpoint.rows import Row
from endpoint.sides import Label, Side, Value

SURE = 0.85
"""Readings whose least sure word is at least this sure are left alone."""
ZOOM = 1.6
PAD = 0.35
"""Room above and below a line, in its heights: less loses tone marks, more lets the next line in."""
MOST_LINES = 8
"""Lines looked at again on one card at most, so that a hopeless picture does not cost seconds."""


def looked_again(
    engine: TextEngine, grey: Pixels, side: Side, sheet: Labelled, readings: dict[str, Reading]
) -> dict[str, Reading]:
    """The readings, the unsure ones replaced by surer ones of the same place."""
    better: dict[str, Reading] = {}
    left = MOST_LINES
    for label in side.labels:
        first = readings.get(label.field)
        if first and sureness(first) >= SURE:
            continue
        places = [_lines_of(first)] if first else _empty_places(label, sheet.rows, sheet.placed, grey.shape[1])
        for lines in places:
            left -= len(lines)
            if left < 0:
                return readings | better
            second = read_words([word for line in lines for word in _read_line(engine, grey, line)], label)
            if second and (first is None or sureness(second) > sureness(first)):
                better[label.field] = second
                break
    return readings | better


def sureness(reading: Reading) -> float:
    """How sure the least sure word of a reading is, 0 to 1."""
    return min(word.confidence for word in reading.words)


def _lines_of(reading: Reading) -> list[Box]:
    """The boxes of the lines a reading's words stand in."""
    lines: list[list[Word]] = []
    for word in reading.words:
        if lines and word.left > lines[-1][-1].left:
            lines[-1].append(word)
        else:
            lines.append([word])
    return [box_around(line) for line in lines]


def _empty_places(label: Label, rows: Sequence[Row], placed: Sequence[Placed], width_px: int) -> list[list[Box]]:
    """Right of the label's best stand, then below it: where its value should be."""
    stands = sorted((p for p in placed if p.field == label.field), key=lambda p: -p.rank)
    if not stands:
        return []
    row, stand = rows[stands[0].row], stands[0]
    ends = [row.words[p.start].left for p in placed if p.row == stand.row and p.start >= stand.stop]
    end = min([*ends, float(width_px)]) - row.height / 2
    start, words = row.words[stand.stop - 1].right + row.height / 3, row.words[stand.start : stand.stop]
    left, top, bottom = words[0].left - row.height / 2, box_around(words)[1], box_around(words)[3]
    step = 1.5 * row.height
    right_of = (start, top, end, bottom)
    below = (left, top + step, end, bottom + step)
    room = 3 * row.height
    places = [[right_of]] if end - start > room else []
    if label.value is Value.LINES or end - start <= room:
        places.append([below])
    return places


def _read_line(engine: TextEngine, grey: Pixels, line: Box) -> list[Word]:
    height, width = grey.shape
    left, top, right, bottom = line
    pad = PAD * (bottom - top)
    x0, x1 = max(0, int(left - pad)), min(width, int(right + pad) + 1)
    y0, y1 = max(0, int(top - pad)), min(height, int(bottom + pad) + 1)
    if x1 - x0 < 8 or y1 - y0 < 8:
        return []
    large = cv2.resize(grey[y0:y1, x0:x1], None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC)
    return [_back(word, x0, y0) for word in engine.line(np.asarray(large, dtype=np.uint8))]


def _back(word: Word, left: int, top: int) -> Word:
    """A word of the enlarged crop in pixels of the card."""
    return replace(
        word,
        left=left + word.left / ZOOM,
        top=top + word.top / ZOOM,
        right=left + word.right / ZOOM,
        bottom=top + word.bottom / ZOOM,
    )
