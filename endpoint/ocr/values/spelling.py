"""Read text -> what must have been printed, where a field's words come from a closed list.

Only slips of reading are mended: a lost tone mark in a surname, an ethnic group or a fixed title.
Addresses are left as read but for "la" for "Ia": no unit of the gazetteer is ever put in.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.resources import files

from rapidfuzz import fuzz, process

from endpoint.ocr.values.normalize import plain

_WORDS: dict[str, list[str]] = json.loads((files("endpoint") / "data" / "words.json").read_text(encoding="utf-8"))
SURNAMES, ETHNIC_GROUPS = tuple(_WORDS["surnames"]), tuple(_WORDS["ethnic_groups"])
RELIGIONS, MARK_WORDS = tuple(_WORDS["religions"]), tuple(_WORDS["mark_words"])
NAME_WORDS = frozenset(word.lower() for word in (*_WORDS["name_words"], *SURNAMES))
"""Words that names are made of: hardly one in a hundred names has another."""
AUTHORITIES = (
    "CỤC CẢNH SÁT ĐKQL CƯ TRÚ VÀ DLQG VỀ DÂN CƯ",
    "CỤC CẢNH SÁT QUẢN LÝ HÀNH CHÍNH VỀ TRẬT TỰ XÃ HỘI",
    "Cục Quản lý xuất nhập cảnh",
)
SNAP = 90.0
"""How alike a reading and a fixed title must be, 0 to 100, to be taken for it."""


def corrected(field: str, value: str) -> str:
    """The value as it must have been printed; itself where nothing is known of the field. A pure function."""
    mend = _CORRECTORS.get(field)
    return mend(value) if mend else value


@lru_cache(maxsize=8)
def _by_plain(words: tuple[str, ...]) -> dict[str, str]:
    """Plain form -> word, for the words that alone have it."""
    known: dict[str, list[str]] = {}
    for word in words:
        known.setdefault(plain(word), []).append(word)
    return {form: fits[0] for form, fits in known.items() if len(fits) == 1}


def _name(value: str) -> str:
    """The first word is a surname: marks lost or invented there are put right, if the word is none as it stands."""
    first, space, rest = value.partition(" ")
    known = {surname.upper() for surname in SURNAMES}
    right = _by_plain(SURNAMES).get(plain(first), "").upper()
    return f"{right}{space}{rest}" if right and first.upper() not in known else value


def _one_of(words: tuple[str, ...]) -> Callable[[str], str]:
    def mend(value: str) -> str:
        return value if value in words else _by_plain(words).get(plain(value), value)

    return mend


def _authority(value: str) -> str:
    found = process.extractOne(value, AUTHORITIES, scorer=fuzz.ratio, score_cutoff=SNAP)
    if found:
        return str(found[0])
    return re.sub(r"^([CG]A|[CG]ÔNG AN) T[IÍÌỈĨỊ]NH\b", lambda given: f"C{given[1][1:]} TỈNH", value)


def _nation(value: str) -> str:
    """A card of Viet Nam that says the first half of its name says the other, too."""
    return {"viet": "Việt Nam", "viet nam": "VIỆT NAM" if value.isupper() else "Việt Nam"}.get(plain(value), value)


def _mark(value: str) -> str:
    """Distinguishing marks are phrases of few words, and lengths in cm. A "nốt" is a mole; a side ends the phrase."""
    lengths = re.sub(r"(?i)(\d)\s?[ec]m\b", r"\1cm", re.sub(r"(\d), (\d)", r"\1,\2", value))
    words = " ".join(_mark_word(word) for word in lengths.split(" "))
    return re.sub(r"^Nốt \w+(?= (cách|giữa)\b)", "Nốt ruồi", re.sub(r"\b(mắt|mũi|mày|mép) tai$", r"\1 trái", words))


def _mark_word(word: str) -> str:
    right = _by_plain(MARK_WORDS).get(plain(word))
    if not right or not word.isalpha() or _is_spelling_of(word, right):
        return word
    return right.capitalize() if word[:1].isupper() else right


def _is_spelling_of(word: str, right: str) -> bool:
    """Whether both have the same letters and tone, wherever the tone is written: "khóe" and "khoé" are both printed."""
    one, other = (sorted(unicodedata.normalize("NFD", text.lower())) for text in (word, right))
    return one == other


def _place(value: str) -> str:
    """A syllable of a place starts with a capital, so "la" is "Ia"; "Tố 5" is a group, "Tổ 5"."""
    return re.sub(r"\bT[ốồỗộôơớờ] (?=\d|dân)", "Tổ ", re.sub(r"(?<![\w'])la(?= [A-ZĐ])", "Ia", value))


def _each(fields: Iterable[str], mend: Callable[[str], str]) -> dict[str, Callable[[str], str]]:
    return dict.fromkeys(fields, mend)


_CORRECTORS: dict[str, Callable[[str], str]] = {
    **_each(("name", "full_name"), _name),
    **_each(("hometown", "address"), _place),
    "ethnicity": _one_of(ETHNIC_GROUPS),
    "religious": _one_of(RELIGIONS),
    "issued_at": _authority,
    "nationality": _nation,
    "identification_sign": _mark,
}
