"""Words at a label -> the value in them, without what is left of the label, and the box of just its words."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

from rapidfuzz import fuzz

from endpoint.ocr.card_templates import Label, Value
from endpoint.ocr.engine import Word
from endpoint.ocr.values.normalize import plain
from endpoint.ocr.values.spelling import MARK_WORDS, corrected
from endpoint.ocr.values.value_parsing import Parsed, parse

Box = tuple[float, float, float, float]
LABEL_LIKE = 65.0
"""How alike a value may be to its label, 0 to 100 (rapidfuzz's ratio), before it is taken for that."""
LIKE_A_LABEL = 60.0
"""The same for one word of a label before a value."""
MAX_LABEL_WORDS = 8
_ENGLISH = frozenset("address birth class date full name nationality no of origin place residence sex".split())  # noqa: SIM905  # words
_PLACE_KINDS = frozenset("ap ban doi khoi khu ngo phuong quan so thi thon to xa xom".split())  # noqa: SIM905  # words
_AFTER_THI = frozenset({"tran", "xa"})
PLACES = ("hometown", "address")
UNSURE_FRONT, FRONT_WORDS = 0.6, 9
"""Words so unsure are none of a place if the word of its kind comes after them; so many of them at most."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A value read off the card: wire form, box in pixels of the aligned card, words it was made of."""

    value: str
    box: Box
    words: tuple[Word, ...]
    agreed: bool | None = None
    """Whether other views of the same print say the same; None where that was not looked at."""


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
    if label.value is Value.WORD:
        return _one_word(words[start:])
    if label.field == "identification_sign":
        return _from_mark(words[start:])
    return from_kind(words[start:], own) if label.field in PLACES else words[start:]


def _from_mark(words: Sequence[Word]) -> Sequence[Word]:
    """A distinguishing mark from its first word on ("Sẹo"), where what stands before is none of a mark's words."""
    known = {plain(word) for word in MARK_WORDS}
    for index, word in enumerate(words[:FRONT_WORDS]):
        if plain(word.text) in known:
            return words[index:] if word.text[0].isupper() else words
    return words


def from_kind(words: Sequence[Word], own: Set[str]) -> Sequence[Word]:
    """A place from the first word of its kind on ("Xã", "Tổ"), where what stands before is left of a label or unsure.

    Without such a word, from the first one that does not begin as no place does.
    """
    for index, word in enumerate(words[:FRONT_WORDS]):
        if _is_place_kind(word, words[index + 1 : index + 2]):
            return words[index:] if all(_is_junk(before, own) for before in words[:index]) else words
        if word.text.endswith(","):
            break
    return words[1:] if len(words) > 1 and len(words[0].text) == 1 and words[0].text.islower() else words


def _is_place_kind(word: Word, following: Sequence[Word]) -> bool:
    """Whether a place begins: "Thị" does in "Thị trấn" and "Thị xã", not in a name."""
    kind = plain(word.text)
    is_kind = kind in _PLACE_KINDS and word.text[0].isupper()
    return is_kind and (kind != "thi" or any(plain(word.text) in _AFTER_THI for word in following))


def _is_junk(word: Word, own: Set[str]) -> bool:
    is_like = max((fuzz.ratio(plain(word.text).strip(".:,/"), one) for one in own), default=0.0) >= LIKE_A_LABEL
    if len(word.text) == 1 and not word.text.isdigit():
        return True
    return word.confidence < UNSURE_FRONT or word.text[0].islower() or is_like


def _one_word(words: Sequence[Word]) -> Sequence[Word]:
    """Without small letters before the first capital, and what follows a sign between dots."""
    first = next((index for index, word in enumerate(words) if word.text[:1].isupper()), 0)
    marks = (at for at, word in enumerate(words) if at > first and not any(map(str.isalnum, word.text)))
    stop = next((at for at in marks if words[at].text not in "/-–"), len(words))
    return words[first:stop]


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
