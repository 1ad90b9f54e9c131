"""How sure Tesseract was -> how often that was right: the calibration behind every `*_confidence`.

The knots were fitted on the tuning half of the specimens (`python -m benchmarks.reading --half=tuning`), the hard
conditions; the benchmark's reliability table shows what they are worth on the other half.
"""

from __future__ import annotations

import numpy as np

from endpoint.ocr.second_pass import confidence
from endpoint.ocr.value_words import Reading

RAW = (0.0, 0.30, 0.50, 0.65, 0.75, 0.85, 0.90, 0.93, 0.955, 0.97)
"""How sure Tesseract was of the least sure word of a value; it never says more than 0.97."""
RIGHT = (0.15, 0.4, 0.62, 0.8, 0.85, 0.88, 0.91, 0.945, 0.975, 0.99)
"""The share of such values that were right to the letter: the lower end of its interval of 90 %, rounded."""


RAW_NUMBER = (0.0, 0.5, 0.7, 0.93, 0.95, 0.96, 0.97)
RIGHT_NUMBER = (0.15, 0.5, 0.8, 0.86, 0.88, 0.95, 0.99)
"""The same for a number judged digit by digit: a misread one is less sure of its least sure digit than right ones."""
AGREED, DISAGREED = 0.95, 0.85
"""A value that other views of its print agree on is at least so sure, and one that they do not at most so sure."""


def calibrated(reading: Reading, *, is_number: bool = False) -> float:
    """The chance that the reading is right to the letter, 0 to 1."""
    knots = (RAW_NUMBER, RIGHT_NUMBER) if is_number else (RAW, RIGHT)
    sure = float(np.interp(confidence(reading), *knots))
    if reading.agreed is not None:
        sure = max(sure, AGREED) if reading.agreed else min(sure, DISAGREED)
    return round(sure, 4)
