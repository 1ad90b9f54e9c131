"""Text at a label -> a value in the contract's wire form, by what may stand there."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from endpoint.ocr.card_templates import Value
from endpoint.ocr.values.normalize import plain


@dataclass(frozen=True, slots=True)
class Parsed:
    """A value, and the characters `start` to `stop` of the text it came from."""

    value: str
    start: int
    stop: int


_DIGIT_LIKE = str.maketrans("OoQDIl|ZzSsBGqg", "000011122558699")
_NUMERIC = re.compile(r"(\d{1,2})\s?[/\-.,]\s?(\d{1,2})\s?[/\-.,]\s?(\d{4})")
_SPACED = re.compile(r"(\d(?: ?\d)?)\s?[/\-.,]\s?(\d(?: ?\d)?)\s?[/\-.,]\s?(\d(?: ?\d){3})")
"""A date in digits read as several words: "08-1 0-1962"."""
_IN_WORDS = re.compile(
    r"(\d{1,2})\D{0,14}th\w?ng\D{0,10}?(\d{1,2})(?!\d)\D{0,10}(?:n\w[mn]\D{0,8})?(\d{4})", re.IGNORECASE
)
_NO_EXPIRY = re.compile(r"kh[ôo]ng\s+th[ờo]i\s+h[ạa]n", re.IGNORECASE)
_RUN = re.compile(r"[0-9OoQDIl|ZzSsBGqg][0-9OoQDIl|ZzSsBGqg .]*")
_CODE = re.compile(r"\b([A-Z])[ ]?([0-9OoQDIl|ZzSsBGqg]{7,8})\b")
_CLASS = re.compile(r"\b(A1|A2|A3|A4|A|B1|B2|BE|B|C1E|C1|CE|C|D1E|D1|D2E|D2|DE|D|E|FB2|FC|FD|FE)\b")
_LABEL_END = re.compile(r"^[a-zà-ỹ]{1,10}\s?:\s+(?=\S)")
"""What is left of a label before its value: names, places and marks start with a capital and have no colon."""
_BLOOD_LIKE = str.maketrans("0QØDG©8", "OOOOOOB")
_EDGES = " .,:;/|-–—_'\"‘’“”()[]{}<>~°*=¬^«»…`+†‡¿¡§¤•"


def parse(text: str, value: Value) -> Parsed | None:
    """The value of that kind in the text; None where there is none. A pure function of the text."""
    return _PARSERS[value](text)


def _text(text: str) -> Parsed | None:
    stripped = _LABEL_END.sub("", text.strip(_EDGES)).strip(_EDGES)
    if not any(char.isalnum() for char in stripped):
        return None
    start = text.rindex(stripped)
    joined = re.sub(r"([,.;])[.,;]+", r"\1", re.sub(r"\s+([,.;])", r"\1", stripped))
    return Parsed(joined, start, start + len(stripped))


def _word(text: str) -> Parsed | None:
    return _text(text.partition("/")[0])


def _date(text: str) -> Parsed | None:
    for pattern in (_NUMERIC, _IN_WORDS, _SPACED):
        for match in pattern.finditer(text):
            day, month, year = (int(group.replace(" ", "")) for group in match.groups())
            if _is_day(day, month, year):
                return Parsed(f"{day:02d}-{month:02d}-{year}", match.start(), match.end())
    if forever := _NO_EXPIRY.search(text):
        return Parsed(forever.group(), forever.start(), forever.end())
    corrected = _corrected_digits(text)
    return _date(corrected) if corrected != text else None


def _is_day(day: int, month: int, year: int) -> bool:
    try:
        return 1900 <= date(year, month, day).year <= 2100
    except ValueError:
        return False


def _corrected_digits(text: str) -> str:
    """Words that are mostly digits with their look-alikes put right; the length stays."""
    return " ".join(
        word.translate(_DIGIT_LIKE) if sum(char.isdigit() for char in word) * 2 >= len(word) else word
        for word in text.split(" ")
    )


def _digits(text: str) -> Parsed | None:
    runs = [(match, re.sub(r"\D", "", match.group().translate(_DIGIT_LIKE))) for match in _RUN.finditer(text)]
    runs = [
        (match, digits) for match, digits in runs if sum(char.isdigit() for char in match.group()) * 2 >= len(digits)
    ]
    if not runs:
        return None
    match, digits = max(runs, key=lambda run: len(run[1]))
    return Parsed(digits, match.start(), match.start() + len(match.group().rstrip())) if len(digits) >= 6 else None


def _code(text: str) -> Parsed | None:
    if match := _CODE.search(text):
        return Parsed(match[1] + match[2].translate(_DIGIT_LIKE), match.start(), match.end())
    return None


def _gender(text: str) -> Parsed | None:
    """The two words are three letters at most, and told apart by one: "NữỮ" and "Nứ" can only be "nữ"."""
    for match in re.finditer(r"\w+", text):
        letters = plain(match.group())
        if letters == "nam" or (letters.startswith("nu") and len(letters) <= 3):
            return Parsed("nam" if letters == "nam" else "nữ", match.start(), match.end())
    return None


def _classes(text: str) -> Parsed | None:
    upright = re.sub(r"(?<=[ABCD])[lI|]", "1", text.replace("Ạ", "A").replace("À", "A"))
    found = list(_CLASS.finditer(upright))
    if not found:
        return None
    return Parsed(" ".join(match.group() for match in found), found[0].start(), found[-1].end())


def _blood(text: str) -> Parsed | None:
    match = re.search(r"(?<!\w)(AB|A|B|O)(?!\w)", plain_capitals(text).translate(_BLOOD_LIKE))
    return Parsed(match.group(), match.start(), match.end()) if match else None


def plain_capitals(text: str) -> str:
    """Each letter without its marks, as a capital: the length stays."""
    return "".join((plain(char) or char).upper()[:1] for char in text)


_PARSERS: dict[Value, Callable[[str], Parsed | None]] = {
    Value.TEXT: _text,
    Value.LINES: _text,
    Value.WORD: _word,
    Value.DATE: _date,
    Value.DIGITS: _digits,
    Value.CODE: _code,
    Value.GENDER: _gender,
    Value.CLASS: _classes,
    Value.BLOOD: _blood,
}
