"""What was read is scored as a naive look scores it: results, error rates, calibration, thresholds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.scoring import (
    FieldScore,
    Result,
    Share,
    Threshold,
    calibration_error,
    reliability,
    score,
    shares,
    threshold,
)

READINGS = st.lists(st.tuples(st.sampled_from([0.0, 0.3, 0.55, 0.8, 0.9, 0.99, 1.0]), st.booleans()), max_size=12)


def _scored(truth: str, stated_text: str | None) -> FieldScore:
    return score(0, "passport", "name", truth=truth, stated_text=stated_text, confidence=0.9)


@pytest.mark.parametrize(
    ("truth", "stated_text", "result", "edits"),
    [
        ("ĐẶNG VĂN MẪU", "ĐẶNG  VĂN MẪU ", Result.EXACT, 0),
        ("ĐẶNG VĂN MẪU", "ĐĂNG VĂN MẪU", Result.PARTLY, 1),
        ("ĐẶNG VĂN MẪU", "Đặng Văn Mẫu", Result.PARTLY, 7),
        ("ĐẶNG VĂN MẪU", "LÊ THỬ", Result.WRONG, 11),
        ("ĐẶNG", "", Result.MISSING, 4),
        ("ĐẶNG", None, Result.MISSING, 4),
        ("01-02-1990", "01/02/1990", Result.EXACT, 0),
        ("1990", "1991", Result.PARTLY, 1),
    ],
)
def test_results(truth: str, stated_text: str | None, result: Result, edits: int) -> None:
    """Spaces and the form of a date make no difference; a quarter of the characters may be wrong in what is near."""
    found = _scored(truth, stated_text)
    assert (found.result, found.edits, found.characters) == (result, edits, len(truth))


def test_shares() -> None:
    """Each result is counted, and edits are divided by the characters of the truth."""
    scores = [_scored("AAAA", "AAAA"), _scored("AAAA", "AAAB"), _scored("AAAA", "BBBB"), _scored("AAAA", "")]
    assert shares(scores) == Share(4, 1, 1, 1, 1, 9 / 16)
    assert shares([]) == Share(0, 0, 0, 0, 0, 0.0)


@given(READINGS)
def test_reliability_holds_every_reading(readings: list[tuple[float, bool]]) -> None:
    """Each reading is in one bin, whose mean confidence lies within it, and no bin is empty."""
    bins = reliability(readings)
    assert sum(one.n for one in bins) == len(readings)
    assert all(one.n and one.low - 1e-9 <= one.stated <= one.high + 1e-9 for one in bins)
    assert round(sum(one.right * one.n for one in bins)) == sum(is_right for _, is_right in readings)
    assert 0 <= calibration_error(bins) <= 1


@given(READINGS, st.sampled_from([0.5, 0.9, 1.0]))
def test_a_threshold_is_the_lowest_that_gives_the_precision(readings: list[tuple[float, bool]], wanted: float) -> None:
    """Of all confidences, each as a threshold, the lowest whose readings are right often enough."""
    expected = None
    for line in sorted({confidence for confidence, _ in readings}, reverse=True):
        kept = [is_right for confidence, is_right in readings if confidence >= line]
        if sum(kept) >= wanted * len(kept):
            expected = Threshold(line, sum(kept) / len(kept), len(kept) / len(readings))
    assert threshold(readings, wanted) == expected
