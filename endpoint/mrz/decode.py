"""Cells of a machine-readable zone -> its holder (ICAO 9303 parts 4 and 5).

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

from endpoint.mrz.formats import ALPHABET, MASKS, Format, Span, holds, text_at

Probabilities = npt.NDArray[np.float32]
"""(cells, 37) in the order of ALPHABET, or (lines, cells, 37) for a whole zone; each cell sums to 1."""
MAX_DOUBTFUL = 1
"""A zone with more doubtful cells than that is not mended: one change could make it valid by chance."""
MIN_LIKELIHOOD = 0.25
"""What a cell becomes was at least so likely: no zone of the tuning half that was mended to less became right."""


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


def read_zone(probabilities: Probabilities, layout: Format, today: date) -> Zone:
    """Cells (lines, cells, 37) -> zone. `today` processes the century of two-digit years."""
    masked = _masked(probabilities, layout)
    best = masked.argmax(axis=2)
    lines = _filled(_corrected(best, masked, layout), layout.fields["names"])
    sure = np.take_along_axis(masked, _indices(lines)[..., None], axis=2)
    checked = holds(lines, layout)
    return Zone(lines, _holder(lines, layout, today), checked, _confidence(sure, checked))


def _masked(probabilities: Probabilities, layout: Format) -> Probabilities:
    allowed = np.array([[[char in MASKS[mask] for char in ALPHABET] for mask in line] for line in layout.masks])
    return np.where(allowed, probabilities, 0.0).astype(np.float32)


def _text(indices: npt.NDArray[np.intp]) -> tuple[str, ...]:
    return tuple("".join(ALPHABET[index] for index in line) for line in indices)


def _indices(lines: Sequence[str]) -> npt.NDArray[np.intp]:
    return np.array([[ALPHABET.index(char) for char in line] for line in lines], dtype=np.intp)


def _corrected(best: npt.NDArray[np.intp], masked: Probabilities, layout: Format) -> tuple[str, ...]:
    """The zone as read, or with the one likeliest single change that makes every check digit right."""
    lines = _text(best)
    if holds(lines, layout) or _doubtful(best, masked, layout) > MAX_DOUBTFUL:
        return lines
    for line, cell, index in _alternatives(best, masked, layout):
        changed = best.copy()
        changed[line, cell] = index
        if holds(_text(changed), layout):
            return _text(changed)
    return lines


def _filled(lines: tuple[str, ...], names: Span) -> tuple[str, ...]:
    """Names end where three fillers stand; what is read beyond is no letter (ICAO 9303 part 3, 4.6: padding)."""
    stated = text_at(lines, names)
    end = stated.find("<<<", 1)
    if end < 0:
        return lines
    line = lines[names.line]
    padded = line[: names.start + end] + "<" * (len(stated) - end) + line[names.stop :]
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
        if index != best[line, cell] and masked[line, cell, index] > MIN_LIKELIHOOD
    ]
    return ((line, cell, index) for _, line, cell, index in sorted(second, reverse=True))


def _confidence(sure: npt.NDArray[np.float32], checked: bool) -> float:
    """How sure the least sure cells are; a zone whose check digits fail is never more than a guess."""
    weakest = float(np.sort(sure.ravel())[:3].mean())
    return weakest if checked else min(weakest, 0.2)


def _holder(lines: Sequence[str], layout: Format, today: date) -> Holder:
    stated = {name: text_at(lines, span) for name, span in layout.fields.items()}
    surname, _, given = stated["names"].partition("<<")
    person_number = stated["person_number"].rstrip("<")
    return Holder(
        country=stated["country"].strip("<"),
        nationality=stated["nationality"].strip("<"),
        document_number=stated["document_number"].strip("<"),
        person_number=person_number,
        dob=_day(stated["dob"], _birth_century(stated["dob"], person_number, today)),
        due_date=_day(stated["due_date"], 2000),
        gender=stated["gender"].strip("<"),
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
