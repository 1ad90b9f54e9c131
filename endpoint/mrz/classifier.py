"""Cells -> probabilities of the 37 characters of a machine-readable zone, by a small network.

`python -m specimens.train_glyphs` trains it from the Debian package fonts-ocr-b in seconds.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from endpoint.mrz.decode import Probabilities
from endpoint.mrz.segment import CellImages

WEIGHTS = "mrz_glyphs.npz"


def normalised(cells: CellImages) -> CellImages:
    """Cells as the network sees them: flat, mean 0, spread 1, so that contrast does not matter."""
    flat = cells.reshape(len(cells), -1)
    return np.asarray(
        (flat - flat.mean(axis=1, keepdims=True)) / (flat.std(axis=1, keepdims=True) + 0.05), dtype=np.float32
    )


class GlyphClassifier:
    """Two dense layers, 384 -> 64 -> 37; opened from the package's own data."""

    def __init__(self) -> None:
        with (files("endpoint") / "data" / WEIGHTS).open("rb") as opened, np.load(opened) as stored:
            self._layers = [stored[name].astype(np.float32) for name in ("w1", "b1", "w2", "b2")]

    def __call__(self, cells: CellImages) -> Probabilities:
        """(n, 24, 16) -> (n, 37), each row summing to 1."""
        w1, b1, w2, b2 = self._layers
        scores = np.maximum(normalised(cells) @ w1 + b1, 0) @ w2 + b2
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)
