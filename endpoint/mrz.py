"""Machine-readable zones (ICAO 9303 parts 4 and 5): formats as tables, check digits, cells -> holder.

A zone is read as cells, each with a probability for every character. Check digits
are used to verify, and to mend at most one cell in the whole zone: two mends turn
garbage into something valid. They do not cover names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ<"
Probabilities = npt.NDArray[np.float32]
"""(cells, 37) in the order of ALPHABET, or (lines, cells, 37) for a whole zone; each cell sums to 1."""

_DIGITS = frozenset("0123456789")
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ<")
_MASKS: dict[str, frozenset[str]] = {
    "0": _DIGITS,
    "9": _DIGITS | {"<"},
    "A": _LETTERS,
    "X": frozenset(ALPHABET),
    "S": frozenset("MF<"),
    "I": frozenset("I"),
    "D": frozenset("D"),
    "P": frozenset("P"),
    "<": frozenset("<"),
}


@dataclass(frozen=True, slots=True)
class Span:
    """Cells `start` to `stop` of line `line`."""

    line: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Check:
    """A check digit in its cell, and the spans it is computed over."""

    digit: Span
    over: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Format:
    """One size of zone: what each cell may hold (keys of _MASKS), where the fields stand, what is checked."""

    masks: tuple[str, ...]
    fields: dict[str, Span]
    checks: tuple[Check, ...]


TD1 = Format(
    masks=("IDAAAXXXXXXXXX0999999999999999", "0000000S0000000AAAXXXXXXXXXXX0", "A" * 30),
    fields={
        "country": Span(0, 2, 5),
        "document_number": Span(0, 5, 14),
        "person_number": Span(0, 15, 27),
        "dob": Span(1, 0, 6),
        "gender": Span(1, 7, 8),
        "due_date": Span(1, 8, 14),
        "nationality": Span(1, 15, 18),
        "names": Span(2, 0, 30),
    },
    checks=(
        Check(Span(0, 14, 15), (Span(0, 5, 14),)),
        Check(Span(1, 6, 7), (Span(1, 0, 6),)),
        Check(Span(1, 14, 15), (Span(1, 8, 14),)),
        Check(Span(1, 29, 30), (Span(0, 5, 30), Span(1, 0, 7), Span(1, 8, 15), Span(1, 18, 29))),
    ),
)
"""Three lines of 30: the back of the chip card. Viet Nam puts the 12-digit number in the optional cells."""

TD3 = Format(
    masks=("P<AAA" + "A" * 39, "XXXXXXXXX0AAA0000000S0000000" + "9" * 14 + "90"),
    fields={
        "country": Span(0, 2, 5),
        "names": Span(0, 5, 44),
        "document_number": Span(1, 0, 9),
        "nationality": Span(1, 10, 13),
        "dob": Span(1, 13, 19),
        "gender": Span(1, 20, 21),
        "due_date": Span(1, 21, 27),
        "person_number": Span(1, 28, 42),
    },
    checks=(
        Check(Span(1, 9, 10), (Span(1, 0, 9),)),
        Check(Span(1, 19, 20), (Span(1, 13, 19),)),
        Check(Span(1, 27, 28), (Span(1, 21, 27),)),
        Check(Span(1, 42, 43), (Span(1, 28, 42),)),
        Check(Span(1, 43, 44), (Span(1, 0, 10), Span(1, 13, 20), Span(1, 21, 43))),
    ),
)
"""Two lines of 44: the passport."""

MENDED_WITH = 2
"""A zone with more doubtful cells than that is not mended: one change could make it valid by chance."""
FORMATS: dict[str, Format] = {"chip_id_card_back": TD1, "passport": TD3}


@dataclass(frozen=True, slots=True)
class Holder:
    """What a zone says of the holder."""

    country: str
    nationality: str
    document_number: str
    person_number: str
    dob: date | None
    due_date: date | None
    gender: str
    sur_name: str
    given_name: str


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone that was read: its lines, its holder, whether every check digit holds, and 0 to 1 how sure."""

    lines: tuple[str, ...]
    holder: Holder
    checked: bool
    confidence: float


def check_digit(text: str) -> str:
    """The check digit of ICAO 9303 part 3, 4.9: weights 7, 3, 1; "<" counts 0, letters 10 to 35."""
    values = {char: value for value, char in enumerate(ALPHABET)} | {"<": 0}
    return str(sum(values[char] * (7, 3, 1)[index % 3] for index, char in enumerate(text)) % 10)


def read_zone(probabilities: Probabilities, layout: Format, today: date) -> Zone:
    """Cells (lines, cells, 37) -> zone. `today` settles the century of two-digit years."""
    masked = _masked(probabilities, layout)
    best = masked.argmax(axis=2)
    lines = _filled(_mended(best, masked, layout), layout.fields["names"])
    sure = np.take_along_axis(masked, _indices(lines)[..., None], axis=2)
    checked = holds(lines, layout)
    return Zone(lines, _holder(lines, layout, today), checked, _confidence(sure, checked))


def holds(lines: Sequence[str], layout: Format) -> bool:
    """Whether every check digit of the zone is right."""
    return all(_right(lines, check) for check in layout.checks)


def _right(lines: Sequence[str], check: Check) -> bool:
    said = text_at(lines, check.digit)
    over = "".join(text_at(lines, span) for span in check.over)
    # An empty optional field may show "<" for its check digit 0 (ICAO 9303 part 4, 4.2.2.2).
    return said == check_digit(over) or (said == "<" and not over.strip("<"))


def text_at(lines: Sequence[str], span: Span) -> str:
    """The characters of a span."""
    return lines[span.line][span.start : span.stop]


def _masked(probabilities: Probabilities, layout: Format) -> Probabilities:
    allowed = np.array([[[char in _MASKS[mask] for char in ALPHABET] for mask in line] for line in layout.masks])
    return np.where(allowed, probabilities, 0.0).astype(np.float32)


def _text(indices: npt.NDArray[np.intp]) -> tuple[str, ...]:
    return tuple("".join(ALPHABET[index] for index in line) for line in indices)


def _indices(lines: Sequence[str]) -> npt.NDArray[np.intp]:
    return np.array([[ALPHABET.index(char) for char in line] for line in lines], dtype=np.intp)


def _mended(best: npt.NDArray[np.intp], masked: Probabilities, layout: Format) -> tuple[str, ...]:
    """The zone as read, or with the one likeliest single change that makes every check digit right."""
    lines = _text(best)
    if holds(lines, layout) or _doubtful(best, masked, layout) > MENDED_WITH:
        return lines
    for line, cell, index in _alternatives(best, masked, layout):
        changed = best.copy()
        changed[line, cell] = index
        if holds(_text(changed), layout):
            return _text(changed)
    return lines


def _filled(lines: tuple[str, ...], names: Span) -> tuple[str, ...]:
    """Names end where three fillers stand; what is read beyond is no letter (ICAO 9303 part 3, 4.6: padding)."""
    said = text_at(lines, names)
    end = said.find("<<<", 1)
    if end < 0:
        return lines
    line = lines[names.line]
    padded = line[: names.start + end] + "<" * (len(said) - end) + line[names.stop :]
    return tuple(padded if index == names.line else text for index, text in enumerate(lines))


def _checked_cells(layout: Format) -> set[tuple[int, int]]:
    spans = [span for check in layout.checks for span in (check.digit, *check.over)]
    return {(span.line, cell) for span in spans for cell in range(span.start, span.stop)}


def _doubtful(best: npt.NDArray[np.intp], masked: Probabilities, layout: Format) -> int:
    """How many checked cells the classifier was of two minds about."""
    return sum(masked[line, cell, best[line, cell]] < 0.6 for line, cell in _checked_cells(layout))


def _alternatives(
    best: npt.NDArray[np.intp], masked: Probabilities, layout: Format
) -> Iterator[tuple[int, int, np.intp]]:
    """Single changes in checked cells that the classifier itself held possible, likeliest first."""
    second = [
        (float(masked[line, cell, index]), line, cell, index)
        for line, cell in _checked_cells(layout)
        for index in np.argsort(masked[line, cell])[-3:]
        if index != best[line, cell] and masked[line, cell, index] > 0.01
    ]
    return ((line, cell, index) for _, line, cell, index in sorted(second, reverse=True))


def _confidence(sure: npt.NDArray[np.float32], checked: bool) -> float:
    """How sure the least sure cells are; a zone whose check digits fail is never more than a guess."""
    weakest = float(np.sort(sure.ravel())[:3].mean())
    return weakest if checked else min(weakest, 0.2)


def _holder(lines: Sequence[str], layout: Format, today: date) -> Holder:
    said = {name: text_at(lines, span) for name, span in layout.fields.items()}
    surname, _, given = said["names"].partition("<<")
    person_number = said["person_number"].rstrip("<")
    return Holder(
        country=said["country"].strip("<"),
        nationality=said["nationality"].strip("<"),
        document_number=said["document_number"].strip("<"),
        person_number=person_number,
        dob=_day(said["dob"], _birth_century(said["dob"], person_number, today)),
        due_date=_day(said["due_date"], 2000),
        gender=said["gender"].strip("<"),
        sur_name=" ".join(surname.replace("<", " ").split()),
        given_name=" ".join(given.replace("<", " ").split()),
    )


def _birth_century(yymmdd: str, person_number: str, today: date) -> int:
    """The 12-digit number says the century; without one, nobody is born after today."""
    if len(person_number) == 12 and person_number.isdigit() and person_number[4:6] == yymmdd[:2]:
        return 1900 + 100 * (int(person_number[3]) // 2)
    return 1900 if yymmdd[:2].isdigit() and 2000 + int(yymmdd[:2]) > today.year else 2000


def _day(yymmdd: str, century: int) -> date | None:
    try:
        return date(century + int(yymmdd[:2]), int(yymmdd[2:4]), int(yymmdd[4:6]))
    except ValueError:
        return None
