"""Values of middling sureness held against other views of the same print: what all of them say is right.

Costs 15 to 25 ms a line and view, so only what is neither sure nor a guess is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from endpoint.imaging.decode import Pixels
from endpoint.ocr.card_templates import Label, Side
from endpoint.ocr.engine import TextEngine
from endpoint.ocr.second_pass import VIEWS, View, confidence, lines_of, read_line
from endpoint.ocr.value_words import Box, Reading, read_words
from endpoint.ocr.values.normalize import nfc
from endpoint.ocr.values.spelling import NAME_WORDS

MARKED = ("name", "full_name")
"""Tone marks of capitals are lost in more than one view: these are looked at in every one."""
MIN_MARK_CONFIDENCE = 0.85
"""A name whose words after the surname are less sure is not borne out by views that may have lost the same mark."""
MIN_CHECKED, HIGH_CONFIDENCE, MAX_CHECKED = 0.5, 0.9, 0.955
"""Readings so sure are held against other views; less sure ones are guesses, and surer ones hardly ever wrong."""
OUTVOTED = 0.75
"""Surer readings are not replaced by what other views say, only lowered."""
MAX_CHECKED_LINES = 8
NOT_CHECKED = ("id",)
"""Judged digit by digit."""


def with_agreement(
    engine: TextEngine,
    grey: Pixels,
    side: Side,
    readings: dict[str, Reading],
    *,
    is_doubtful: Callable[[str, str], bool],
) -> dict[str, Reading]:
    """The readings of middling sureness, with whether other views of the same print say the same: one of a sure one.

    A slip is seldom made twice: of values that the views agree on 0.97 are right, of the others 0.8.
    """
    checked: dict[str, Reading] = {}
    left = MAX_CHECKED_LINES
    for label in side.labels:
        reading = readings.get(label.field)
        if (
            reading is None
            or reading.agreed is not None
            or label.field in NOT_CHECKED
            or is_doubtful(label.field, reading.value)
        ):
            continue
        if label.field in MARKED and not NAME_WORDS.issuperset(nfc(reading.value).lower().split()):
            checked[label.field] = replace(reading, agreed=False)
            continue
        lines = lines_of(reading, float("inf"))
        if not MIN_CHECKED <= confidence(reading) < MAX_CHECKED or len(lines) > left:
            continue
        left -= len(lines)
        checked[label.field] = _held(reading, label, partial(_seen, engine, grey, label, lines), is_doubtful)
    return readings | checked


def _seen(engine: TextEngine, grey: Pixels, label: Label, lines: Sequence[Box], view: View) -> Reading | None:
    return read_words([word for line in lines for word in read_line(engine, grey, line, view)], label)


def _held(
    reading: Reading, label: Label, read_view: Callable[[View], Reading | None], is_doubtful: Callable[[str, str], bool]
) -> Reading:
    """The reading with whether the views say the same; what two of them say against it is said instead."""
    usual, large, faintless = VIEWS
    if (
        label.field in MARKED
        and min(word.confidence for word in reading.words[1:] or reading.words) < MIN_MARK_CONFIDENCE
    ):
        return reading
    second = read_view(large)
    if second is None or second.value != reading.value:
        third = read_view(usual)
        is_outvoted = (
            second
            and third
            and second.value == third.value
            and confidence(reading) < min(OUTVOTED, max(confidence(second), confidence(third)))
            and not is_doubtful(label.field, second.value)
        )
        return replace(second if second and is_outvoted else reading, agreed=False)
    is_sure, is_marked = confidence(reading) >= HIGH_CONFIDENCE, label.field in MARKED
    if is_sure and not is_marked:
        return replace(reading, agreed=True)
    if is_marked and not _says(read_view(usual), reading):
        return replace(reading, agreed=False)
    if _says(read_view(faintless), reading):
        return replace(reading, agreed=True)
    return reading if is_sure else replace(reading, agreed=False)


def _says(second: Reading | None, reading: Reading) -> bool:
    return second is not None and second.value == reading.value
