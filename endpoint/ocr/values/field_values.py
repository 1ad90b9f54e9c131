"""A side and its rows -> the value of each label: right of it, or below it, or by its form alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace

from rapidfuzz import fuzz

from endpoint.ocr.card_templates import Label, Side, Value
from endpoint.ocr.engine import Word
from endpoint.ocr.label_matching import Placed
from endpoint.ocr.text_lines import Row
from endpoint.ocr.value_words import LABEL_LIKE, PLACES, UNSURE_FRONT, Reading, from_kind, read_words
from endpoint.ocr.values.normalize import plain
from endpoint.ocr.values.spelling import ETHNIC_GROUPS, MARK_WORDS

WIDE_GAP = 3.5
"""A space of so many line heights ends a text: what follows is another column."""
WORD_GAP = 1.0
"""Words of one value are no farther from each other, in line heights."""
LINE_GAP = 1.6
"""The next line of a value starts within so many line heights of the last one's end."""
WIDE_LINE_GAP = 2.3
"""The same below a centred heading."""
START_GAP = 4.0
"""A line further right than that of where the label ends, in line heights, is no part of the value: a speck, a seal."""


_CAPITAL = "A-Z" + "".join(char for char in map(chr, (*range(0xC0, 0x1B1), *range(0x1EA0, 0x1EFA))) if char.isupper())
_BY_PLACE: dict[str, re.Pattern[str]] = {
    "name": re.compile(rf"(?<!\S)[{_CAPITAL}]{{2,7}}(?: [{_CAPITAL}]{{1,7}}){{1,5}}(?!\S)"),
    "gender": re.compile(r"(?<!\S)(?<!Việt )(?:Nam|Nữ)(?!\S)"),
    "nationality": re.compile(r"(?<!\S)(?:Việt Nam|VIỆT NAM)(?!\S)"),
    "ethnicity": re.compile(rf"(?<!\S)(?:{'|'.join(ETHNIC_GROUPS)})(?!\S)"),
    "class": re.compile(r"(?<!\S)(?:A1|A2|A3|A4|A|B1|B2|C|D|E|FB2|FC|FD|FE)(?!\S)"),
}
"""How values look that stand below the number, where their labels were not read."""
_BESIDE = {"ethnicity": ("gender", "nationality")}
"""Fields that stand on the line of one of others, and look like words of any place elsewhere."""
_ABOVE: dict[str, tuple[str, ...]] = {
    "hometown": ("id", "name", "dob", "gender", "nationality", "ethnicity"),
    "address": ("id", "name", "dob", "gender", "nationality", "ethnicity", "hometown"),
}
"""Fields that stand above a place on every front."""
_BELOW = ("address", "due_date")
INSET = 3.0
"""A place that starts so many line heights further right than the last one stands beside a label of its own."""
FEWEST_COMMAS, MAX_PLACE_LINES = 1, 2
"""Of a line that may begin a place without its label, and the lines that a place has at most."""
FEWEST_LETTERS = 3
"""Of a text that has the form of one."""
FEWEST_MARK_WORDS = 3
"""Of a line that is a distinguishing mark without its label."""
_DAY_IN_WORDS = re.compile(r"ngay\D{0,6}\d{1,2}\D{0,3}th")
"""A row that gives a day in words is the issue date, never a line of another value."""


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
            reading := _by_form(label, sheet, used)
            or _by_place(label, sheet, readings)
            or _by_words(label, sheet, used)
        ):
            readings[label.field] = reading
    missing = [label for label in side.labels if label.field in PLACES and label.field not in readings]
    return readings | _between(missing, sheet, readings) if missing else readings


def _between(missing: Sequence[Label], sheet: Labelled, readings: dict[str, Reading]) -> dict[str, Reading]:
    """Places whose labels were not read: below what stands above them, and above what stands below.

    Less sure: with both labels lost, the first place is where someone is from and the second where they live.
    """
    fields = [label.field for label in missing]
    above = [readings[field].box[3] for field in _ABOVE[fields[0]] if field in readings]
    if not above or (fields == ["hometown"] and "address" not in readings):
        return {}
    ends = [sheet.rows[placed.row].top for placed in sheet.placed if placed.field in _BELOW]
    ends += [readings[field].box[1] for field in _BELOW if field in readings]
    below = [end for end in ends if end > max(above)] if fields == ["hometown"] else []
    blocks = _place_blocks(sheet, readings, max(above), min(below, default=float("inf")))
    if len(fields) > 1 and len(blocks) == 1:
        return {}
    found = ((label, read_words(words, label)) for label, words in zip(missing, blocks, strict=False))
    return {label.field: replace(reading, agreed=False) for label, reading in found if reading}


def _place_blocks(sheet: Labelled, readings: dict[str, Reading], top: float, bottom: float) -> list[list[Word]]:
    """Runs of lines that may be places, each beginning with a line that has a comma.

    A line far below the last one, or that starts further right, begins another: it stands beside a label.
    """
    taken = {word for reading in readings.values() for word in reading.words}
    blocks: list[list[list[Word]]] = []
    for index, row in enumerate(sheet.rows):
        free = [word for at, word in enumerate(row.words) if word not in taken and not sheet.label_of(index, at)]
        words = list(from_kind(free, frozenset()))
        if not words or row.top <= top - 0.3 * row.height or row.bottom >= bottom + 0.3 * row.height:
            continue
        last = blocks[-1][-1] if blocks else []
        is_far = not last or row.top - last[-1].bottom > LINE_GAP * row.height
        is_inset = bool(last) and words[0].left > blocks[-1][0][0].left + INSET * row.height
        begins = sum("," in word.text for word in words) >= FEWEST_COMMAS
        if begins and (is_far or is_inset or len(blocks[-1]) == MAX_PLACE_LINES):
            blocks.append([words])
        elif last and not is_far and len(blocks[-1]) < MAX_PLACE_LINES:
            blocks[-1].append(words)
    return [[word for line in block for word in line] for block in blocks]


def _by_place(label: Label, sheet: Labelled, readings: dict[str, Reading]) -> Reading | None:
    """What can be told by its words and its place below the number: a name in capitals, a sex, a nationality."""
    number = readings.get("id")
    pattern = _BY_PLACE.get(label.field)
    if number is None or pattern is None:
        return None
    taken = {word for reading in readings.values() for word in reading.words}
    for index, row in enumerate(sheet.rows):
        words = [word for at, word in enumerate(row.words) if word not in taken and not sheet.label_of(index, at)]
        if row.top <= number.box[3] or not _is_beside(label.field, row, readings):
            continue
        found = pattern.search(" ".join(word.text for word in words))
        if found:
            before = found.string[: found.start()].count(" ")
            used = words[before : before + found.group().count(" ") + 1]
            return read_words(used, label)
    return None


def _is_beside(field: str, row: Row, readings: dict[str, Reading]) -> bool:
    boxes = [readings[other].box for other in _BESIDE.get(field, ()) if other in readings]
    return field not in _BESIDE or any(box[1] < row.bottom and row.top < box[3] for box in boxes)


def _by_words(label: Label, sheet: Labelled, used: Set[Word]) -> Reading | None:
    """A distinguishing mark by its words, of which there are few: "Sẹo chấm cách 2cm …"."""
    if label.field != "identification_sign":
        return None
    known = {plain(word) for word in MARK_WORDS}
    for index, row in enumerate(sheet.rows):
        words = [word for at, word in enumerate(row.words) if word not in used and not sheet.label_of(index, at)]
        first = next(
            (at for at, word in enumerate(words) if plain(word.text) in known and word.text[0].isupper()), None
        )
        of_mark = sum(plain(word.text) in known for word in words)
        if first is not None and of_mark >= max(FEWEST_MARK_WORDS, len(words[first:]) // 2):
            return read_words(words[first:], label)
    return None


def _at_label(label: Label, sheet: Labelled) -> Reading | None:
    stands = sorted((p for p in sheet.placed if p.field == label.field), key=lambda p: -p.rank)
    found = [reading for placed in stands for reading in _beside_or_below(placed, label, sheet)]
    return next((reading for reading in found if _looks_right(label, reading)), found[0] if found else None)


def _beside_or_below(placed: Placed, label: Label, sheet: Labelled) -> Iterator[Reading]:
    """What is read right of a label, then what is read below it."""
    right_of, below = _right_of(placed, label, sheet), _below(placed, label, sheet)
    if label.field in PLACES and below and not _is_begun(list(_until_next(placed.row, placed.stop, sheet))):
        right_of = []  # what is left of the label's other language; the place stands below
    for words in (right_of, below):
        reading = read_words(words, label)
        if reading and not _is_label(reading, label):
            yield reading


def _looks_right(label: Label, reading: Reading) -> bool:
    """Whether a value has the form of its field: what is left of a label's other language has not."""
    if label.field in ("name", "full_name"):
        return _BY_PLACE["name"].fullmatch(reading.value) is not None
    if label.field == "nationality":
        return plain(reading.value) == "viet nam"
    if label.value is Value.TEXT:
        return reading.value[0].isupper() and sum(map(str.isalpha, reading.value)) >= FEWEST_LETTERS
    return True


def _is_begun(words: Sequence[Word]) -> bool:
    """Whether a place begins in these words: one that is sure and starts with a capital or a number, or a comma."""
    return any(
        "," in word.text
        or (word.confidence >= UNSURE_FRONT and not word.text[0].islower() and sum(map(str.isalnum, word.text)) > 1)
        for word in words
    )


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
    line = next(lines, [])
    return [*_just_before(line[0], sheet), *line] if line and label.value is Value.TEXT else line


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
        # a label may be half as tall as its value
        is_far = under.top - bottom > (WIDE_LINE_GAP if wide else LINE_GAP) * max(row.height, under.height)
        if is_far or any(sheet.label_of(index, at) for at, _ in inside) or _DAY_IN_WORDS.search(under.text):
            return
        yield [word for _, word in inside]
        bottom = under.bottom


def _just_before(word: Word, sheet: Labelled) -> list[Word]:
    """The words that lead up to one on its line, unless a label begins them: of "Họ và tên / Full name" only "name"
    may have been told, and the value below begins left of it."""
    row = next(row for row, line in enumerate(sheet.rows) if word in line.words)
    words = sheet.rows[row].words
    start = first = words.index(word)
    while first and words[first].left - words[first - 1].right <= WORD_GAP * sheet.rows[row].height:
        first -= 1
        if sheet.label_of(row, first):
            return []
    return list(words[first:start])


def _column(placed: Placed, sheet: Labelled, row: Row) -> tuple[float, float]:
    """From a little left of the label to the next label in its row."""
    others = [row.words[p.start].left for p in sheet.placed if p.row == placed.row and p.start >= placed.stop]
    return row.words[placed.start].left - 1.5 * row.height, min(others, default=float("inf"))
