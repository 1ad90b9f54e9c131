"""Cells -> probabilities of the 37 characters of a machine-readable zone, by a small network.

`python -m specimens.training.train_glyphs` trains it from the Debian package fonts-ocr-b in seconds.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import numpy.typing as npt

from endpoint.mrz.decode import Probabilities
from endpoint.mrz.formats import ALPHABET
from endpoint.mrz.segment import CellImages

WEIGHTS = "mrz_glyphs.npz"
WHOLE = 0.8
"""Least height of a letter or digit, in usual ones: all are as tall; measured from 0.85. A shorter one is cut off."""
MIN_LETTERS = 8
"""With fewer of them the usual height is not told."""


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
        found = np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)
        cut = _are_cut(cells, found)
        found[cut] = (found[cut] + 1 / found.shape[1]) / 2
        return found


def _are_cut(cells: CellImages, found: Probabilities) -> npt.NDArray[np.bool_]:
    """Letters and digits of which a part is missing, as at the image's edge: a K without its foot is surely a Y."""
    is_letter = found.argmax(axis=1) != ALPHABET.index("<")
    if is_letter.sum() < MIN_LETTERS:
        return np.zeros(len(cells), dtype=bool)
    rows = cells[:, :, 3:-3].max(axis=2)
    inked = rows > 0.5 * np.median(rows.max(axis=1))
    tall = np.where(inked.any(axis=1), rows.shape[1] - inked[:, ::-1].argmax(axis=1) - inked.argmax(axis=1), 0)
    return np.asarray(is_letter & (tall < WHOLE * np.median(tall[is_letter])))
