"""What was read, held against the truth: how each field came out, and what its confidence was worth. Pure functions.

A character error rate is edits (insertions, deletions, substitutions) by characters of the truth. Calibration is the
reliability table of Guo et al. (2017): of readings with about the same confidence, the share that is right.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from rapidfuzz.distance import Levenshtein

from schemas.value_converters import read_date

EDGES = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98)
"""Lower ends of the bins of the reliability table; the last one ends at 1."""
_PARTLY = 0.25
"""The largest share of wrong characters in what is partly right."""


class Result(str, Enum):
    """How one field came out."""

    EXACT = "exact"
    PARTLY = "partly"
    WRONG = "wrong"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class FieldScore:
    """One field of one card: how it came out, wrong characters of how many, and the confidence that was told."""

    card: int
    document_type: str
    field: str
    result: Result
    edits: int
    characters: int
    confidence: float | None


def score(
    card: int, document_type: str, field: str, *, truth: str, stated_text: str | None, confidence: float | None
) -> FieldScore:
    """Hold one value against the truth: spaces, and how a date is written, make no difference."""
    expected, found = normal(truth), normal(stated_text or "")
    edits = Levenshtein.distance(found, expected)
    return FieldScore(
        card, document_type, field, _result(expected, found, edits), edits, len(expected), confidence if found else None
    )


def normal(text: str) -> str:
    """A text as it is compared: composed characters, single spaces, dates as day-month-year."""
    words = " ".join(unicodedata.normalize("NFC", text).split())
    day = read_date(words)
    return words if day is None else day.strftime("%d-%m-%Y")


def _result(expected: str, found: str, edits: int) -> Result:
    if not found:
        return Result.MISSING
    if not edits:
        return Result.EXACT
    is_near = edits <= _PARTLY * len(expected) or expected.casefold() == found.casefold()
    return Result.PARTLY if is_near else Result.WRONG


@dataclass(frozen=True, slots=True)
class Share:
    """Results of some scores: how many of each, and the character error rate over all."""

    n: int
    exact: int
    partly: int
    wrong: int
    missing: int
    character_error_rate: float


def shares(scores: Iterable[FieldScore]) -> Share:
    """Count results."""
    held = list(scores)
    counts = Counter(one.result for one in held)
    edits, characters = sum(one.edits for one in held), sum(one.characters for one in held)
    exact, partly, wrong, missing = (counts[result] for result in Result)
    return Share(len(held), exact, partly, wrong, missing, edits / characters if characters else 0.0)


_Key = TypeVar("_Key")


def by_key(scores: Iterable[FieldScore], key: Callable[[FieldScore], _Key]) -> dict[_Key, list[FieldScore]]:
    """Scores that share a key, in the order in which the keys come."""
    groups: dict[_Key, list[FieldScore]] = defaultdict(list)
    for one in scores:
        groups[key(one)].append(one)
    return dict(groups)


@dataclass(frozen=True, slots=True)
class Bin:
    """Readings of about the same confidence: how many, their mean confidence, and the share that is right."""

    low: float
    high: float
    n: int
    stated: float
    right: float


def reliability(readings: Iterable[tuple[float, bool]]) -> list[Bin]:
    """(Confidence, whether it was right) -> a bin for each range that holds a reading."""
    bins: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for confidence, is_right in readings:
        bins[min(bisect_right(EDGES, confidence), len(EDGES)) - 1].append((confidence, is_right))
    ends = (*EDGES[1:], 1.0)
    return [
        Bin(
            EDGES[index],
            ends[index],
            len(held),
            sum(stated for stated, _ in held) / len(held),
            sum(is_right for _, is_right in held) / len(held),
        )
        for index, held in sorted(bins.items())
    ]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error: the mean distance of confidence and share right, weighed by readings."""
    readings = sum(one.n for one in bins)
    return sum(one.n * abs(one.stated - one.right) for one in bins) / readings if readings else 0.0


@dataclass(frozen=True, slots=True)
class Threshold:
    """The lowest confidence from which readings are right as often as is wanted, and what it takes and gives."""

    confidence: float
    precision: float
    kept: float
    """Share of the readings that have it or more."""


def threshold(readings: Iterable[tuple[float, bool]], precision: float) -> Threshold | None:
    """Where to draw the line for a wanted precision; None where no line gives it."""
    ordered = sorted(readings, reverse=True)
    found, right = None, 0
    for at, (confidence, is_right) in enumerate(ordered, start=1):
        right += is_right
        is_end = at == len(ordered) or ordered[at][0] < confidence  # equal confidences stand on one side
        if is_end and right >= precision * at:
            found = Threshold(confidence, right / at, at / len(ordered))
    return found


def readings(scores: Iterable[FieldScore]) -> list[tuple[float, bool]]:
    """What was read with a confidence, and whether it was right."""
    return [(one.confidence, one.result is Result.EXACT) for one in scores if one.confidence is not None]
