"""Machine-readable zones (ICAO 9303 parts 3 to 5) as tables: what each cell may hold, fields, check digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ<"
_DIGITS = frozenset("0123456789")
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ<")
MASKS: dict[str, frozenset[str]] = {
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
    """One size of zone: what each cell may hold (keys of MASKS), where the fields stand, what is checked."""

    masks: tuple[str, ...]
    fields: dict[str, Span]
    checks: tuple[Check, ...]


TD1 = Format(
    masks=("IDAAA" + "0" * 10 + "9" * 15, "0000000S0000000AAA" + "9" * 11 + "0", "A" * 30),
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
"""Three lines of 30: the back of the chip card, whose numbers are all of digits.

Viet Nam puts the 12-digit number in the optional cells, and the last nine of it in those of the document number.
"""

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

FORMATS: dict[str, Format] = {"chip_id_card_back": TD1, "passport": TD3}


def check_digit(text: str) -> str:
    """The check digit of ICAO 9303 part 3, 4.9: weights 7, 3, 1; "<" counts 0, letters 10 to 35."""
    values = {char: value for value, char in enumerate(ALPHABET)} | {"<": 0}
    return str(sum(values[char] * (7, 3, 1)[index % 3] for index, char in enumerate(text)) % 10)


def holds(lines: Sequence[str], layout: Format) -> bool:
    """Whether every check digit of the zone is right."""
    return all(_right(lines, check) for check in layout.checks)


def _right(lines: Sequence[str], check: Check) -> bool:
    given = text_at(lines, check.digit)
    over = "".join(text_at(lines, span) for span in check.over)
    # An empty optional field may show "<" for its check digit 0 (ICAO 9303 part 4, 4.2.2.2).
    return given == check_digit(over) or (given == "<" and not over.strip("<"))


def text_at(lines: Sequence[str], span: Span) -> str:
    """The characters of a span."""
    return lines[span.line][span.start : span.stop]
