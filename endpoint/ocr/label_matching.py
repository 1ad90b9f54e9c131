"""Rows -> which side of which card this is, and where its labels stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz import fuzz

from endpoint.ocr.card_templates import SIDES, Side
from endpoint.ocr.text_lines import Row
from endpoint.ocr.values.normalize import plain
from endpoint.ocr.values.spelling import MARK_WORDS

ALIKE = 82.0
"""How alike a text and what was read must be, 0 to 100 (rapidfuzz's partial ratio)."""
CLOSELY = 90.0
"""How alike a label must be where only a value is to be expected: "Dương, Tuyên Quang" is not "Nguyên quán"."""
OVERHANG = 2.0
"""Taken off for each letter by which the words found go beyond the text: "Nguyên quán" is not "NGUYỄN QUANG"."""
EDGE_USED = 0.34
"""Share of a word at either end whose letters must be of the text, or it is none of its words."""
ONE_WORD = 60.0
"""How alike a capitalised last word must be to that of a text, 0 to 100, where the text's own is not capitalised."""
SHORT = 4
"""Texts of so few letters ("Số", "Sex") must be there to the letter, as whole words."""
SHORTEST = 2
"""Longer ones are no label in capitals: "HẰNG" is a name, "Hạng" the class of a licence, "SỐ" a number."""
PHRASE_WEIGHT, LABEL_WEIGHT = 2.0, 1.0
CODE_BONUS = 0.3
TITLE_BONUS = 0.2
"""Added to the share found of a side whose first phrase is read: it is the largest print, and small labels are lost."""


LONG_TITLE, OVER_TITLE = 13, 8
"""Letters of a title that tells the type by itself, and letters that may stand beside it on its line."""
STATE, SHARED_TITLES, CHIP_GAP = "Cộng hòa xã hội chủ nghĩa Việt Nam", ("Căn cước công dân",), 2.6
SIGNED, FEWEST_MARK_WORDS = "Cục trưởng", 4
"""Who signs a 12-digit card, and words of a mark's vocabulary in a row that is one."""
ENGLISH = (
    "Citizen Identity Card",
    "Socialist Republic of Viet Nam",
    "Full name",
    "Place of origin",
    "Place of residence",
)
"""What a chip card prints beside its title and a 12-digit card does not."""
LENGTHS: dict[str, int] = {
    "9_id_card_front": 9,
    "12_id_card_front": 12,
    "chip_id_card_front": 12,
    "driving_license": 12,
}
"""Digits of the number of each type (Decree 137/2015/ND-CP, Circular 12/2017/TT-BGTVT)."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A printed text found: in which row, over which words (`start` to `stop`), and how well, 0 to 100."""

    text: str
    row: int
    start: int
    stop: int
    alike: float

    @property
    def rank(self) -> float:
        """What decides between anchors: well matched and long first; "Yên, Quảng" is only somewhat "Nguyên quán"."""
        return (self.alike - 70) * min(len(_letters(self.text)), 12)


@dataclass(frozen=True, slots=True)
class Placed:
    """A label's anchors in one row: `start` to `stop` spans the label in all its languages."""

    field: str | None
    row: int
    start: int
    stop: int
    rank: float


@lru_cache(maxsize=500)
def _letters(text: str) -> str:
    return plain(text).replace(" ", "")


@lru_cache(maxsize=1)
def _all_texts() -> tuple[str, ...]:
    """Every distinct text of every side."""
    texts = {text for side in SIDES for text in (*side.phrases, *side.marks)}
    return tuple(sorted(texts | {text for side in SIDES for label in side.labels for text in label.texts}))


def find_anchors(rows: Sequence[Row]) -> list[Anchor]:
    """Every known text in every row that has it."""
    found = (_find(text, index, row) for index, row in enumerate(rows) for text in _all_texts())
    return [anchor for anchor in found if anchor]


def _find(text: str, index: int, row: Row) -> Anchor | None:
    letters = _letters(text)
    if len(letters) <= SHORT:
        return _find_exactly(text, letters, index, row)
    if len(row.text) < 0.8 * len(letters):
        return None
    match = fuzz.partial_ratio_alignment(letters, row.text, score_cutoff=ALIKE)
    if match is None or match.dest_end <= match.dest_start:
        return None
    start, stop = row.owner[match.dest_start], row.owner[match.dest_end - 1] + 1
    used = row.owner[match.dest_start : match.dest_end]
    start, stop = _without_edges(start, stop, used, row)
    if stop - start > 1 and _is_of_value(text, row.words[stop - 1].text):
        stop -= 1
    over = row.owner.count(start) + row.owner.count(stop - 1) if stop - start > 1 else row.owner.count(start)
    over -= used.count(start) + (used.count(stop - 1) if stop - start > 1 else 0)
    return Anchor(text, index, start, stop, match.score - OVERHANG * over)


def _without_edges(start: int, stop: int, used: Sequence[int], row: Row) -> tuple[int, int]:
    """The words without a first or last one of which hardly a letter was used: in "Mường quốc tch" it is a value."""

    def is_value(word: int) -> bool:
        return used.count(word) < EDGE_USED * row.owner.count(word)

    while stop - start > 1 and is_value(start):
        start += 1
    while stop - start > 1 and is_value(stop - 1):
        stop -= 1
    return start, stop


def _is_of_value(text: str, last: str) -> bool:
    """Whether the last word begins the value: "Nguyên qu Xã" is what is left of "Nguyên quán", and a value's "Xã"."""
    own = text.rsplit(maxsplit=1)[-1]
    return own[0].islower() and last[:1].isupper() and fuzz.ratio(plain(last), plain(own)) < ONE_WORD


def _find_exactly(text: str, letters: str, index: int, row: Row) -> Anchor | None:
    at = row.text.find(letters)
    while at >= 0:
        start, last = row.owner[at], row.owner[at + len(letters) - 1]
        is_whole = row.owner.index(start) == at and (
            at + len(letters) == len(row.text) or row.owner[at + len(letters)] != last
        )
        if is_whole and not (len(letters) > SHORTEST and row.words[start].text.isupper()):
            return Anchor(text, index, start, last + 1, 100.0)
        at = row.text.find(letters, at + 1)
    return None


def best_template(
    anchors: Iterable[Anchor], *, has_code: bool = False, among: Sequence[Side] = SIDES
) -> tuple[Side, float]:
    """The side whose phrases and labels are found best, and the share of them found, 0 to 1.

    `has_code`: a chip card's QR code was read, which stands on some sides only. `among`: the sides that it may be.
    """
    found: dict[str, float] = {}
    for anchor in _without_part_titles(list(anchors)):
        found[anchor.text] = max(found.get(anchor.text, 0.0), anchor.alike / 100)
    scored = [(_share(side, found) + (CODE_BONUS if has_code and side.has_code else 0.0), side) for side in among]
    share, side = max(scored, key=lambda pair: pair[0])
    return side, min(1.0, share)


def _without_part_titles(anchors: Sequence[Anchor]) -> list[Anchor]:
    """Without titles that are only part of another one: of "Căn cước công dân" no "Căn cước" is left."""
    titles = {side.phrases[0] for side in SIDES}
    whole = [anchor for anchor in anchors if anchor.text in titles and anchor.alike >= CLOSELY]

    def is_part(anchor: Anchor) -> bool:
        letters = _letters(anchor.text)
        return any(
            one.row == anchor.row and letters != _letters(one.text) and letters in _letters(one.text) for one in whole
        )

    return [anchor for anchor in anchors if anchor.text not in titles or not is_part(anchor)]


def side_by_title(rows: Sequence[Row], anchors: Sequence[Anchor]) -> Side | None:
    """The side whose title stands alone on a line, with a number of its length below: for one whose labels are lost.

    A chip card has two lines in English between the state and the title, a 12-digit card has none.
    """
    found = {anchor.text: anchor for anchor in anchors if anchor.alike >= CLOSELY or anchor.text == STATE}
    has_english = any(anchor.text in ENGLISH for anchor in anchors)
    numbers = [(row.top, sum(map(str.isdigit, word.text))) for row in rows for word in row.words]
    for side in SIDES:
        title, length = found.get(side.phrases[0]), LENGTHS.get(side.document_type)
        if title is None or length is None or len(_letters(title.text)) < LONG_TITLE:
            continue
        row = rows[title.row]
        phrases = {one.text for one in anchors if one.row == title.row and one.text in side.phrases}
        is_alone = len(row.text) <= sum(len(_letters(phrase)) for phrase in phrases) + OVER_TITLE
        has_number = any(top > row.bottom and abs(digits - length) <= 1 for top, digits in numbers)
        state = found.get(STATE)
        is_chip = state is None or has_english or row.top - rows[state.row].top > CHIP_GAP * row.height
        fits = is_chip == (side.document_type == "chip_id_card_front") or title.text not in SHARED_TITLES
        if is_alone and has_number and fits:
            return side
    return None


def side_by_words(rows: Sequence[Row], anchors: Sequence[Anchor]) -> Side | None:
    """A 12-digit card's back, whose only title is a signature: by who signs it and a distinguishing mark above."""
    signed = [rows[anchor.row].top for anchor in anchors if anchor.text == SIGNED]
    known = {plain(word) for word in MARK_WORDS}
    marks = [row.top for row in rows if sum(plain(word.text) in known for word in row.words) >= FEWEST_MARK_WORDS]
    if not signed or not marks or min(marks) >= min(signed):
        return None
    return next(side for side in SIDES if side.document_type == "12_id_card_back")


def has_title(anchors: Iterable[Anchor]) -> bool:
    """Whether the largest print of some side is there."""
    titles = {side.phrases[0] for side in SIDES}
    return any(anchor.text in titles and anchor.alike >= CLOSELY for anchor in anchors)


def _share(side: Side, found: dict[str, float]) -> float:
    labels = [label for label in side.labels if label.texts]
    title = found.get(side.phrases[0], 0.0)
    points = PHRASE_WEIGHT * sum(found.get(phrase, 0.0) for phrase in side.phrases)
    points += LABEL_WEIGHT * sum(max(found.get(text, 0.0) for text in label.texts) for label in labels)
    whole = PHRASE_WEIGHT * len(side.phrases) + LABEL_WEIGHT * len(labels)
    return min(1.0, points / whole + (TITLE_BONUS if title >= CLOSELY / 100 else 0.0))


def place_labels(side: Side, rows: Sequence[Row], anchors: Iterable[Anchor]) -> list[Placed]:
    """The side's labels and marks where they stand; words claimed by a better match are not claimed twice."""
    owners: dict[str, str | None] = dict.fromkeys(side.marks)
    owners |= {text: label.field for label in side.labels for text in label.texts}
    taken: dict[tuple[int, int], str | None] = {}
    placed: list[Placed] = []
    seen: set[str] = set()  # a text is printed once: "Số" is a label, and then the word of a house number
    for anchor in sorted((a for a in anchors if a.text in owners), key=lambda a: (-a.rank, a.row)):
        field = owners[anchor.text]
        words = [(anchor.row, word) for word in range(anchor.start, anchor.stop)]
        if anchor.text in seen or any(taken.get(word, field) != field for word in words):
            continue
        if any(_apart(p, anchor, rows) for p in placed if field and (p.field, p.row) == (field, anchor.row)):
            continue  # a label stands once in a row: what is like it further right belongs to the value
        if anchor.alike < CLOSELY and _in_a_value(anchor, field, placed):
            continue
        seen.add(anchor.text)
        taken |= dict.fromkeys(words, field)
        placed.append(Placed(field, anchor.row, anchor.start, anchor.stop, anchor.rank))
    return _joined(placed, rows)


def _in_a_value(anchor: Anchor, field: str | None, placed: Sequence[Placed]) -> bool:
    """Whether the field's label is found in another row, and here stands, further left, the one of another field."""
    elsewhere = any(p.field == field and p.row != anchor.row for p in placed)
    return elsewhere and any(p.field != field and p.row == anchor.row and p.stop <= anchor.start for p in placed)


def _joined(placed: list[Placed], rows: Sequence[Row]) -> list[Placed]:
    """Anchors of one field that only a slash parts become one: "Họ và tên / Full name:"."""
    joined: list[Placed] = []
    for item in sorted(placed, key=lambda p: (p.row, p.start, -p.stop)):
        last = joined[-1] if joined else None
        if (
            last
            and (last.row, last.field) == (item.row, item.field)
            and _adjacent(rows[item.row], last.stop, item.start)
        ):
            stop = max(last.stop, item.stop)
            joined[-1] = Placed(item.field, item.row, last.start, stop, last.rank + item.rank)
        else:
            joined.append(item)
    return joined


def _apart(placed: Placed, anchor: Anchor, rows: Sequence[Row]) -> bool:
    first, second = sorted(((placed.start, placed.stop), (anchor.start, anchor.stop)))
    return not _adjacent(rows[anchor.row], first[1], second[0])


def _adjacent(row: Row, stop: int, start: int) -> bool:
    return all(len(plain(word.text)) <= 1 for word in row.words[stop:start])
