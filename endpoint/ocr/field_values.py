"""A side and its rows -> the value of each label: right of it, or below it, or by its form alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from rapidfuzz import fuzz

from endpoint.ocr.card_templates import Label, Side, Value
from endpoint.ocr.engine import Word
from endpoint.ocr.label_matching import Placed
from endpoint.ocr.normalize import plain
from endpoint.ocr.spelling import corrected
from endpoint.ocr.text_lines import Row
from endpoint.ocr.value_parsing import Parsed, parse

Box = tuple[float, float, float, float]
WIDE_GAP = 3.5
"""A space of so many line heights ends a text: what follows is another column."""
LINE_GAP = 1.6
"""The next line of a value starts within so many line heights of the last one's end."""
LABEL_LIKE = 65.0
"""How alike a value may be to its label, 0 to 100 (rapidfuzz's ratio), before it is taken for that."""
LIKE_A_LABEL = 60.0
"""The same for one word of a label before a value."""
WIDE_LINE_GAP = 2.3
"""The same below a centred heading."""
START_GAP = 4.0
"""A line further right than that of where the label ends, in line heights, is no part of the value: a speck, a seal."""


MAX_LABEL_WORDS = 8
_ENGLISH = frozenset("address birth class date full name nationality no of origin place residence sex".split())  # noqa: SIM905  # words
_PLACE_KINDS = frozenset("ap ban doi khoi khu ngo phuong quan so thi thon to xa xom".split())  # noqa: SIM905  # words
_CAPITAL = "A-Z" + "".join(char for char in map(chr, (*range(0xC0, 0x1B1), *range(0x1EA0, 0x1EFA))) if char.isupper())
_BY_PLACE: dict[str, re.Pattern[str]] = {
    "name": re.compile(rf"(?<!\S)[{_CAPITAL}]{{2,7}}(?: [{_CAPITAL}]{{1,7}}){{1,5}}(?!\S)"),
    "gender": re.compile(r"(?<!\S)(?<!Việt )(?:Nam|Nữ)(?!\S)"),
    "nationality": re.compile(r"(?<!\S)(?:Việt Nam|VIỆT NAM)(?!\S)"),
}
"""How values look that stand below the number, where their labels were not read."""
_ABOVE: dict[str, tuple[str, ...]] = {
    "hometown": ("id", "name", "dob", "gender", "nationality", "ethnicity"),
    "address": ("id", "name", "dob", "gender", "nationality", "ethnicity", "hometown"),
}
"""Fields that stand above a place on every front."""
_BELOW = ("address", "due_date")
FEWEST_COMMAS, MAX_PLACE_LINES = 1, 2
"""Of a line that may begin a place without its label, and the lines that a place has at most."""
_DAY_IN_WORDS = re.compile(r"ngay\D{0,6}\d{1,2}\D{0,3}th")
"""A row that gives a day in words is the issue date, never a line of another value."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A value read off the card: wire form, box in pixels of the aligned card, words it was made of."""

    value: str
    box: Box
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Labelled:
    """The rows of a card and what each word of them belongs to."""

    rows: Sequence[Row]
    placed: Sequence[Placed]

    def label_of(self, row: int, word: int) -> Placed | None:
        """The label or mark the word is part of."""
        return next((p for p in self.placed if p.row == row and p.start <= word < p.stop), None)


def read_fields(side: Side, sheet: Labelled) -> dict[str, Reading]:
    """Field -> reading, for every label of the side at which a value stands."""
    readings = {label.field: reading for label in side.labels if (reading := _at_label(label, sheet))}
    for label in side.labels:
        used = {word for reading in readings.values() for word in reading.words}
        if label.field not in readings and (
            reading := _by_form(label, sheet, used) or _by_place(label, sheet, readings)
        ):
            readings[label.field] = reading
    for label in side.labels:
        if label.field in _ABOVE and label.field not in readings and (reading := _between(label, sheet, readings)):
            readings[label.field] = reading
    return readings


def _between(label: Label, sheet: Labelled, readings: dict[str, Reading]) -> Reading | None:
    """A place whose label was not read: rows with commas below what stands above it, and above what stands below."""
    above = [readings[field].box[3] for field in _ABOVE[label.field] if field in readings]
    ends = [sheet.rows[placed.row].top for placed in sheet.placed if placed.field in _BELOW]
    ends += [readings[field].box[1] for field in _BELOW if field in readings]
    if not above or (label.field == "hometown" and "address" not in readings):
        return None
    lines: list[list[Word]] = []
    taken = {word for reading in readings.values() for word in reading.words}
    bottom = min((end for end in ends if end > max(above)), default=float("inf")) if label.field == "hometown" else None
    for index, row in enumerate(sheet.rows):
        words = [word for at, word in enumerate(row.words) if word not in taken and not sheet.label_of(index, at)]
        is_inside = row.top > max(above) - 0.3 * row.height and (
            bottom is None or row.bottom < bottom + 0.3 * row.height
        )
        if not words or not is_inside:
            continue
        if lines and (
            row.top - lines[-1][-1].bottom > LINE_GAP * row.height or words[0].left < lines[0][0].left - row.height
        ):
            break
        if lines or sum("," in word.text for word in words) >= FEWEST_COMMAS:
            lines.append(words)
    return read_words([word for line in lines[:MAX_PLACE_LINES] for word in line], label) if lines else None


def _by_place(label: Label, sheet: Labelled, readings: dict[str, Reading]) -> Reading | None:
    """What can be told by its words and its place below the number: a name in capitals, a sex, a nationality."""
    number = readings.get("id")
    pattern = _BY_PLACE.get(label.field)
    if number is None or pattern is None:
        return None
    taken = {word for reading in readings.values() for word in reading.words}
    for index, row in enumerate(sheet.rows):
        words = [word for at, word in enumerate(row.words) if word not in taken and not sheet.label_of(index, at)]
        found = pattern.search(" ".join(word.text for word in words)) if row.top > number.box[3] else None
        if found:
            before = found.string[: found.start()].count(" ")
            used = words[before : before + found.group().count(" ") + 1]
            return read_words(used, label)
    return None


def _at_label(label: Label, sheet: Labelled) -> Reading | None:
    stands = sorted((p for p in sheet.placed if p.field == label.field), key=lambda p: -p.rank)
    for placed in stands:
        for words in (_right_of(placed, label, sheet), _below(placed, label, sheet)):
            reading = read_words(words, label)
            if reading and not _is_label(reading, label):
                return reading
    return None


def _is_label(reading: Reading, label: Label) -> bool:
    """Whether what was read is the label itself, misread: "Eull aame" is no name."""
    texts = label.texts if label.value is Value.TEXT else ()
    return any(fuzz.ratio(plain(reading.value), plain(text)) >= LABEL_LIKE for text in texts)


def _by_form(label: Label, sheet: Labelled, used: Set[Word]) -> Reading | None:
    """What can be told by its form where its label was not found: a long number, a date left over.

    What stands right of a mark ("date of expiry" where that is no field) is not left over.
    """
    if label.value not in (Value.DIGITS, Value.CODE, Value.DATE):
        return None
    taken = used | {word for mark in sheet.placed if not mark.field for word in _until_next(mark.row, mark.stop, sheet)}
    for index, row in enumerate(sheet.rows):
        if label.texts and _DAY_IN_WORDS.search(row.text):
            continue
        words = [word for at, word in enumerate(row.words) if word not in taken and not sheet.label_of(index, at)]
        if reading := read_words(words, label):
            return reading
    return None


def _right_of(placed: Placed, label: Label, sheet: Labelled) -> list[Word]:
    """The words between the label and the next one, and for texts of several lines those that go on below."""
    words = list(_until_next(placed.row, placed.stop, sheet))
    if label.value is Value.LINES and words:
        words += _going_on(placed, sheet, words)
    return words


def _until_next(row: int, start: int, sheet: Labelled) -> Iterator[Word]:
    words = sheet.rows[row].words
    for at in range(start, len(words)):
        gap = words[at].left - words[at - 1].right
        if sheet.label_of(row, at) or gap > WIDE_GAP * sheet.rows[row].height * (2 if at == start else 1):
            return
        yield words[at]


def _below(placed: Placed, label: Label, sheet: Labelled) -> list[Word]:
    row = sheet.rows[placed.row]
    lines = _lines_below(placed, sheet, row, wide=label.wide)
    if label.value is Value.LINES:
        return [word for line in lines for word in line]
    return next(lines, [])


def _going_on(placed: Placed, sheet: Labelled, first: list[Word]) -> list[Word]:
    return [word for line in _lines_below(placed, sheet, sheet.rows[placed.row], wide=False) for word in line]


def _lines_below(placed: Placed, sheet: Labelled, row: Row, *, wide: bool) -> Iterator[list[Word]]:
    """The lines under the label in its own column, until another label, a wide gap or the end."""
    left, right = _column(placed, sheet, row)
    farthest = row.words[placed.stop - 1].right + START_GAP * row.height
    if wide:
        left, farthest = 0.0, right
    bottom = row.bottom
    for index in range(placed.row + 1, len(sheet.rows)):
        under = sheet.rows[index]
        inside = [
            (at, word) for at, word in enumerate(under.words)
            if word.left >= left and word.right <= right and word.top > row.top + 0.5 * row.height
        ]  # fmt: skip
        if not inside or inside[0][1].left > farthest:
            continue
        is_far = under.top - bottom > (WIDE_LINE_GAP if wide else LINE_GAP) * row.height
        if is_far or any(sheet.label_of(index, at) for at, _ in inside) or _DAY_IN_WORDS.search(under.text):
            return
        yield [word for _, word in inside]
        bottom = under.bottom


def _column(placed: Placed, sheet: Labelled, row: Row) -> tuple[float, float]:
    """From a little left of the label to the next label in its row."""
    others = [row.words[p.start].left for p in sheet.placed if p.row == placed.row and p.start >= placed.stop]
    return row.words[placed.start].left - 1.5 * row.height, min(others, default=float("inf"))


def read_words(words: Sequence[Word], label: Label) -> Reading | None:
    """Words -> the value of the label's field in them, with the box of just the words it came from."""
    words = _without_label(words, label)
    text = " ".join(word.text for word in words)
    parsed = parse(text, label.value)
    if parsed is None:
        return None
    used = _words_of(parsed, words)
    return Reading(corrected(label.field, parsed.value), box_around(used), used)


def _without_label(words: Sequence[Word], label: Label) -> Sequence[Word]:
    """The words without what is left of the label at their front: its English ones, and what a colon ends."""
    if label.value not in (Value.TEXT, Value.LINES, Value.WORD):
        return words
    own = {plain(part) for text in label.texts for part in text.split()}
    start = 0
    for index, word in enumerate(words[:MAX_LABEL_WORDS]):
        letters = plain(word.text).strip(".:,/")
        is_end = word.text.endswith(":") and any(fuzz.ratio(letters, one) >= LABEL_LIKE for one in own)
        is_left_over = label.value is Value.LINES and index == start and _is_left_over(words[index:], own)
        if is_end or (letters in own & _ENGLISH and index == start) or (not letters and index == start) or is_left_over:
            start = index + 1
    return words[start:]


def _is_left_over(words: Sequence[Word], own: Set[str]) -> bool:
    """Whether the first word is of the label, misread: a value begins with a capital, "nơi thường tru" does not."""

    def likeness(word: Word) -> float:
        return max(fuzz.ratio(plain(word.text), one) for one in own)

    first, following = words[0], words[1] if len(words) > 1 else None
    if plain(first.text) in _PLACE_KINDS or likeness(first) < LIKE_A_LABEL:
        return False
    return first.text[:1].islower() or (
        following is not None and following.text[:1].islower() and likeness(following) >= LABEL_LIKE
    )


def _words_of(parsed: Parsed, words: Sequence[Word]) -> tuple[Word, ...]:
    used: list[Word] = []
    at = 0
    for word in words:
        if at < parsed.stop and at + len(word.text) > parsed.start:
            used.append(word)
        at += len(word.text) + 1
    return tuple(used)


def box_around(words: Sequence[Word]) -> Box:
    """Left, top, right, bottom around the words."""
    return (
        min(word.left for word in words),
        min(word.top for word in words),
        max(word.right for word in words),
        max(word.bottom for word in words),
    )
