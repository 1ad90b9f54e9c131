"""Unsure or missing readings -> readings of the same lines cropped and enlarged, wherever those are surer.

Costs 15 to 25 ms a line, so only what the page pass was unsure of is read again: lines in which a label
may have been lost, then values.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product

import cv2
import numpy as np

from endpoint.imaging.decode import Pixels
from endpoint.imaging.enhance import without_faint
from endpoint.ocr.card_templates import Label, Side, Value
from endpoint.ocr.engine import TextEngine, Word
from endpoint.ocr.label_matching import Placed, find_anchors
from endpoint.ocr.text_lines import Row, rows_of
from endpoint.ocr.value_words import PLACES, Box, Reading, box_around, read_words
from endpoint.ocr.values.field_values import Labelled

MIN_CONFIDENCE = 0.85
"""Readings whose least sure word is at least this sure are left alone."""
HOLE = 1.5
"""A space of so many line heights within a value may have held a word."""
FILLS = 0.6
"""How sure a reading must be that fills a hole."""
PAD = 0.35
"""Room above and below a line, in its heights: less loses tone marks, more lets the next line in."""
MAX_ROWS = 5
"""Lines read again for a lost label at most."""
INK_BELOW, INKED_SHARE = 120, 0.02
"""A place is written on if so much of it is darker than that."""
MAX_SMALL_ROWS, WORTH_READING = 10, 3
"""Lines read again for small labels at most, and letters of a line that is worth it."""
PORTRAIT_SHARE = 0.27
"""Share of a card's width that a portrait may take at its left."""
SHORTER = 0.8
"""A reading that cannot be whole, either, replaces one only if it is no shorter than so much of it."""
MAX_LINES = 10
"""Lines read again on one card at most, so that a hopeless image does not cost seconds."""


@dataclass(frozen=True, slots=True)
class View:
    """How a line is shown to Tesseract: enlarged, and perhaps without what is fainter than print."""

    zoom: float
    is_faintless: bool = False


VIEWS = (View(1.6), View(2.2), View(1.6, is_faintless=True))
MORE_VIEWS = (View(3.0), View(1.3))
"""Each makes other slips: a tone mark lost in one is there in another."""
FEWEST_PARTS, UNIT_PARTS, MAX_WAYS = 2, 3, 100
"""Parts of a place between commas: at least, those that are ward, district and province; ways to choose them."""


def with_small_print(engine: TextEngine, grey: Pixels, rows: Sequence[Row]) -> list[Row]:
    """The rows, each read again from the margin on, enlarged: labels half as tall as their values are lost first."""
    margin = _left_margin(rows, grey.shape[1])
    again = list(rows)
    tall = [index for index, row in enumerate(rows) if len(row.text) >= WORTH_READING and row.words[-1].left > margin]
    for index in tall[:MAX_SMALL_ROWS]:
        left, top, right, bottom = box_around(rows[index].words)
        fresh = rows_of(read_line(engine, grey, (min(left, margin), top, right, bottom)))
        again[index] = max(fresh, key=lambda row: len(row.text), default=rows[index])
    return again


def _left_margin(rows: Sequence[Row], width_px: int) -> float:
    """Where most lines begin, right of a portrait."""
    lefts = sorted(row.words[0].left for row in rows if row.words[0].left > PORTRAIT_SHARE * width_px)
    return lefts[len(lefts) // 5] if lefts else 0.0


def recover_labels(
    engine: TextEngine, grey: Pixels, side: Side, rows: Sequence[Row], placed: Sequence[Placed]
) -> list[Row]:
    """The rows, those read again in which a label stands that no row had: "Nưộ Quê Thị trấn" is "Quê quán: Thị
    trấn"."""
    found = {item.field for item in placed}
    lost = {text for label in side.labels if label.field not in found for text in label.texts}
    labelled = {item.row for item in placed}
    open_rows = [index for index, row in enumerate(rows) if index not in labelled and len(row.words) > 1]
    again = list(rows)
    for index in open_rows[:MAX_ROWS] if lost else ():
        fresh = rows_of(read_line(engine, grey, box_around(rows[index].words)))
        again[index] = next((fresh[anchor.row] for anchor in find_anchors(fresh) if anchor.text in lost), rows[index])
    return again


def reread_low_confidence(
    engine: TextEngine,
    grey: Pixels,
    side: Side,
    sheet: Labelled,
    readings: dict[str, Reading],
    *,
    is_doubtful: Callable[[str, str], bool],
) -> dict[str, Reading]:
    """The readings, the unsure ones replaced by surer ones of the same place.

    A value that cannot be whole as it is read (`is_doubtful` of field and value) is read in several views of the same
    print, and the first reading that can be whole wins: nothing is said that was not read.
    """
    better: dict[str, Reading] = {}
    left = MAX_LINES
    for label in side.labels:
        first = readings.get(label.field)
        margin = _margin(label, sheet.rows, sheet.placed)
        holes = first is not None and _has_holes(first, margin)
        if first and (front := _lost_front(label, first, sheet, grey.shape[1])) is not None:
            whole = _with_front(engine, grey, label, first, front)
            left -= 1
            if whole is not first:
                better[label.field] = whole
                continue
        doubted = first is not None and is_doubtful(label.field, first.value)
        if first and confidence(first) >= MIN_CONFIDENCE and not holes and not doubted:
            continue
        places = [lines_of(first, margin)] if first else _empty_places(label, sheet.rows, sheet.placed, grey.shape[1])
        best, seen = first, [first] if first else []
        for lines, view in product(places, _views(label, doubted=doubted)):
            left -= len(lines)
            if left < 0:
                return readings | better
            second = read_words([word for line in lines for word in read_line(engine, grey, line, view)], label)
            if second is None:
                continue
            seen.append(second)
            can_be = not is_doubtful(label.field, second.value)
            no_shorter = best is None or len(second.value) > SHORTER * len(best.value)
            is_better = best is None or ((can_be or (doubted and no_shorter)) and _better(second, best, holes))
            if is_better or (can_be and doubted):
                best = better[label.field] = second
            if best is second and (can_be or not doubted):
                break
        if doubted and label.field in PLACES and best and is_doubtful(label.field, best.value):
            better[label.field] = _from_parts(label, seen, is_doubtful) or best
    return readings | better


def _views(label: Label, *, doubted: bool) -> tuple[View, ...]:
    if not doubted:
        return VIEWS[:1]
    return (*VIEWS, *MORE_VIEWS) if label.field in PLACES else VIEWS


def _from_parts(label: Label, seen: Sequence[Reading], is_doubtful: Callable[[str, str], bool]) -> Reading | None:
    """A place that can be whole of parts between commas that some view read, each at its own place in the line.

    None where its units can be put together in two ways. Nothing is said that was not read.
    """
    texts = [reading.value.split(", ") for reading in seen]
    counts = Counter(len(parts) for parts in texts if len(parts) >= FEWEST_PARTS)
    if not counts:
        return None
    count = counts.most_common(1)[0][0]
    alike = [parts for parts in texts if len(parts) == count]
    variants = [[part for part, _ in Counter(column).most_common()] for column in zip(*alike, strict=True)]
    if math.prod(map(len, variants)) > MAX_WAYS:
        return None
    ways = [way for way in product(*variants) if not is_doubtful(label.field, ", ".join(way))]
    if not ways or any(way[-UNIT_PARTS:] != ways[0][-UNIT_PARTS:] for way in ways):
        return None
    base = next(reading for reading, parts in zip(seen, texts, strict=True) if len(parts) == count)
    return replace(base, value=", ".join(ways[0]), agreed=False)


def _lost_front(label: Label, first: Reading, sheet: Labelled, width_px: int) -> Box | None:
    """The rest of the label's own line, where a text of several lines was found only below it."""
    if label.value is not Value.LINES or label.wide:
        return None
    stands = sorted((p for p in sheet.placed if p.field == label.field), key=lambda p: -p.rank)
    if not stands:
        return None
    row = sheet.rows[stands[0].row]
    start = row.words[stands[0].stop - 1].right + row.height / 3
    is_below = first.box[1] > row.bottom - 0.3 * row.height
    ends = [row.words[p.start].left for p in sheet.placed if p.row == stands[0].row and p.start >= stands[0].stop]
    end = min([*ends, 0.98 * width_px])
    return (
        (start, row.top - 0.3 * row.height, end, row.bottom + 0.2 * row.height)
        if is_below and end - start > 6 * row.height
        else None
    )


def _with_front(engine: TextEngine, grey: Pixels, label: Label, first: Reading, front: Box) -> Reading:
    """The reading with what stands on the label's line before it; less sure, where there is ink that cannot be read."""
    words = [word for word in read_line(engine, grey, front) if word.confidence > FILLS / 2]
    whole = read_words([*words, *first.words], label) if words else None
    if whole is not None and sum(char.isalpha() for word in words for char in word.text) >= WORTH_READING:
        return whole
    if _has_ink(grey, front):
        return replace(first, words=tuple(replace(word, confidence=word.confidence / 3) for word in first.words))
    return first


def _has_ink(grey: Pixels, box: Box) -> bool:
    left, top, right, bottom = (max(0, round(side)) for side in box)
    crop = grey[top:bottom, left:right]
    return bool(crop.size) and float((crop < INK_BELOW).mean()) > INKED_SHARE


def confidence(reading: Reading) -> float:
    """How sure the least sure word of a reading is, 0 to 1."""
    return min(word.confidence for word in reading.words)


def _better(second: Reading, first: Reading, holes: bool) -> bool:
    """Surer, or where the first one has holes, longer and hardly less sure."""
    if holes and confidence(second) > FILLS:
        return len(second.value) > len(first.value)
    return confidence(second) > confidence(first)


def lines_of_words(words: Sequence[Word]) -> list[list[Word]]:
    """The words of a reading line by line: a new line starts where the next word is further left."""
    lines: list[list[Word]] = []
    for word in words:
        if lines and word.left > lines[-1][-1].left:
            lines[-1].append(word)
        else:
            lines.append([word])
    return lines


def _has_holes(reading: Reading, margin: float) -> bool:
    """Whether a word may have been lost: a wide space within a line, or a line below that starts off the margin."""
    for index, line in enumerate(lines_of_words(reading.words)):
        _, top, _, bottom = box_around(line)
        gaps = [other.left - one.right for one, other in pairwise(line)]
        if index:
            gaps.append(line[0].left - margin - HOLE * (bottom - top) / 2)
        if max(gaps, default=0.0) > HOLE * (bottom - top):
            return True
    return False


def _margin(label: Label, rows: Sequence[Row], placed: Sequence[Placed]) -> float:
    """Where lines that go on below start: under the label."""
    lefts = [rows[stand.row].words[stand.start].left for stand in placed if stand.field == label.field]
    return min(lefts, default=float("inf"))


def lines_of(reading: Reading, margin: float) -> list[Box]:
    """The boxes of the lines a reading's words stand in, those that go on below from the margin on."""
    first, *others = (box_around(line) for line in lines_of_words(reading.words))
    return [first, *((min(left, margin), top, right, bottom) for left, top, right, bottom in others)]


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
    space = 3 * row.height
    places = [[right_of]] if end - start > space else []
    if label.value is Value.LINES or end - start <= space:
        places.append([below])
    return places


def read_line(engine: TextEngine, grey: Pixels, line: Box, view: View = VIEWS[0]) -> list[Word]:
    """The words of a line of the card, as a view of it shows them."""
    height, width = grey.shape
    left, top, right, bottom = line
    pad = PAD * (bottom - top)
    x0, x1 = max(0, int(left - pad)), min(width, int(right + pad) + 1)
    y0, y1 = max(0, int(top - pad)), min(height, int(bottom + pad) + 1)
    if x1 - x0 < 8 or y1 - y0 < 8:
        return []
    crop = without_faint(grey[y0:y1, x0:x1]) if view.is_faintless else grey[y0:y1, x0:x1]
    large = cv2.resize(crop, None, fx=view.zoom, fy=view.zoom, interpolation=cv2.INTER_CUBIC)
    return [brought_back(word, x0, y0, view.zoom) for word in engine.line(np.asarray(large, dtype=np.uint8))]


def brought_back(word: Word, left: int, top: int, zoom: float) -> Word:
    """A word of an enlarged crop in pixels of the card."""
    return replace(
        word,
        left=left + word.left / zoom,
        top=top + word.top / zoom,
        right=left + word.right / zoom,
        bottom=top + word.bottom / zoom,
    )
