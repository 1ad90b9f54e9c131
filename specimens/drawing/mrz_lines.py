"""Holder -> the lines of a machine-readable zone, with their check digits, to be drawn."""

from __future__ import annotations

from datetime import date

from endpoint.mrz.decode import Holder
from endpoint.mrz.formats import ALPHABET, FORMATS, TD1, Check, Format, Span, check_digit, text_at


def zone_lines(holder: Holder, document_type: str) -> tuple[str, ...]:
    """The printed lines of a chip card's back (TD1) or a passport (TD3)."""
    layout = FORMATS[document_type]
    kind = "ID" if layout is TD1 else "P<"
    lines = [
        [kind[i] if line == 0 and i < 2 else "<" for i in range(len(layout.masks[0]))]
        for line in range(len(layout.masks))
    ]
    given = {
        "country": holder.country,
        "nationality": holder.nationality,
        "document_number": holder.document_number,
        "person_number": holder.person_number,
        "dob": _yymmdd(holder.dob),
        "due_date": _yymmdd(holder.due_date),
        "gender": holder.gender,
        "names": f"{holder.sur_name}<<{holder.given_name}".replace(" ", "<"),
    }
    for name, span in layout.fields.items():
        _put(lines, span, given[name])
    if layout is TD1:  # Viet Nam repeats a check digit of the 12-digit number after two fillers
        _put(lines, Span(0, 29, 30), check_digit(holder.person_number))
    return _with_checks(lines, layout)


def _with_checks(lines: list[list[str]], layout: Format) -> tuple[str, ...]:
    for check in layout.checks:
        _put(lines, check.digit, _digit(["".join(line) for line in lines], check))
    return tuple("".join(line) for line in lines)


def _digit(lines: list[str], check: Check) -> str:
    return check_digit("".join(text_at(lines, span) for span in check.over))


def _put(lines: list[list[str]], span: Span, text: str) -> None:
    kept = [char for char in text if char in ALPHABET][: span.stop - span.start]
    lines[span.line][span.start : span.start + len(kept)] = kept


def _yymmdd(day: date | None) -> str:
    return f"{day:%y%m%d}" if day else ""
