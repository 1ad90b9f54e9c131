"""Trains the glyph classifier of machine-readable zones from OCR-B: `python -m specimens.training.train_glyphs`.

Each sample is a cell cut from a drawn line with its neighbours in it, off by up to an eighth of a
cell, blurred, thinned, tilted and noisy, as cells are when they are cut from a photo.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from endpoint.mrz.classifier import WEIGHTS, normalised
from endpoint.mrz.formats import ALPHABET
from endpoint.mrz.segment import CELL_HEIGHT, CELL_WIDTH, CellImages
from specimens.drawing.fonts import mrz_font

HIDDEN, EPOCHS, BATCH, RATE = 64, 30, 256, 2e-3
PITCH_PX = 32
Array = npt.NDArray[np.float32]


def main(argv: Sequence[str] | None = None) -> int:
    """Train and write the weights; prints the accuracy on samples held out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[2] / "endpoint" / "data" / WEIGHTS)
    parser.add_argument("--samples", type=int, default=300, help="drawn lines, each with all 37 characters twice")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    random = np.random.default_rng(options.seed)
    cells, truth = samples(random, options.samples)
    kept = len(cells) * 9 // 10
    weights = train(normalised(cells[:kept]), truth[:kept], random)
    print(
        f"held out: {accuracy(weights, normalised(cells[kept:]), truth[kept:]):.4f} of {len(cells) - kept} cells right"
    )
    options.output.parent.mkdir(parents=True, exist_ok=True)
    w1, b1, w2, b2 = (part.astype(np.float16) for part in weights)
    np.savez_compressed(options.output, w1=w1, b1=b1, w2=w2, b2=b2)
    return 0


def samples(random: np.random.Generator, lines: int) -> tuple[CellImages, npt.NDArray[np.intp]]:
    """Cells (n, 24, 16) and the index of each one's character in ALPHABET."""
    cells, truth = [], []
    for _ in range(lines):
        order = random.permutation(np.tile(np.arange(len(ALPHABET)), 2))
        cells.append(_cells(_drawn(order, random), len(order), random))
        truth.append(order)
    return np.concatenate(cells), np.concatenate(truth)


def _drawn(order: npt.NDArray[np.intp], random: np.random.Generator) -> Array:
    """A line of OCR-B as ink, 0 to 1, spoiled the way photos spoil it."""
    width = PITCH_PX * (len(order) + 2)
    image = Image.new("L", (width, PITCH_PX * 3), 0)
    pen = ImageDraw.Draw(image)
    face = mrz_font(round(PITCH_PX / 0.602 * random.uniform(0.86, 1.04)))
    for index, char in enumerate(order):
        pen.text((PITCH_PX * (index + 1), PITCH_PX * 2), ALPHABET[char], 255, face, anchor="ls")
    ink: Array = np.asarray(np.asarray(image) / 255, dtype=np.float32)
    if random.random() < 0.5:
        thicker = cv2.dilate if random.random() < 0.6 else cv2.erode
        ink = np.asarray(thicker(ink, np.ones((2, 2), np.uint8)), dtype=np.float32)
    ink = np.asarray(cv2.GaussianBlur(ink, (0, 0), random.uniform(0.5, 6.0)), dtype=np.float32)
    ink = ink / np.float32(max(0.2, float(ink.max())))
    noise = random.normal(random.uniform(-0.05, 0.1), random.uniform(0, 0.16), ink.shape)
    return np.asarray(np.clip(ink + noise, 0, 1), dtype=np.float32)


def _cells(ink: Array, count: int, random: np.random.Generator) -> CellImages:
    """Cells cut with errors of place, size and slant of their own."""
    step, middle = PITCH_PX / CELL_WIDTH, _middle()
    cells = np.empty((count, CELL_HEIGHT, CELL_WIDTH), dtype=np.float32)
    for index in range(count):
        off_x, off_y = random.uniform(-0.12, 0.12, 2) * PITCH_PX
        grow, slant = random.uniform(0.92, 1.08), random.uniform(-0.05, 0.05)
        x = (np.arange(CELL_WIDTH) + 0.5 - CELL_WIDTH / 2) * step * grow
        y = (np.arange(CELL_HEIGHT) + 0.5 - CELL_HEIGHT / 2) * step * grow
        map_x, map_y = np.meshgrid(x + PITCH_PX * (index + 1.5) + off_x, y + middle + off_y)
        map_y = map_y + slant * (map_x - map_x.mean())
        cells[index] = cv2.remap(ink, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_LINEAR)
    return cells


def _middle() -> float:
    """Height of the middle of a capital in a drawn line, pixels."""
    _, top, _, bottom = mrz_font(round(PITCH_PX / 0.602)).getbbox("H", anchor="ls")
    return PITCH_PX * 2 + (top + bottom) / 2


def train(
    inputs: Array, truth: npt.NDArray[np.intp], random: np.random.Generator, classes: int = len(ALPHABET)
) -> list[Array]:
    """Adam on the cross entropy of a network of two dense layers."""
    shapes = ((inputs.shape[1], HIDDEN), (HIDDEN,), (HIDDEN, classes), (classes,))
    weights: list[Array] = [
        np.asarray(random.normal(0, np.sqrt(2 / shape[0]), shape) if len(shape) == 2 else np.zeros(shape), np.float32)
        for shape in shapes
    ]
    means, squares = [np.zeros_like(part) for part in weights], [np.zeros_like(part) for part in weights]
    step = 0
    for epoch in range(EPOCHS):
        order = random.permutation(len(inputs))
        rate = RATE * (1 - epoch / EPOCHS)
        for start in range(0, len(order), BATCH):
            step += 1
            chosen = order[start : start + BATCH]
            for index, slope in enumerate(_slopes(weights, inputs[chosen], truth[chosen])):
                means[index] = 0.9 * means[index] + 0.1 * slope
                squares[index] = 0.999 * squares[index] + 0.001 * slope**2
                ahead = means[index] / (1 - 0.9**step), squares[index] / (1 - 0.999**step)
                weights[index] = weights[index] - np.float32(rate) * ahead[0] / (np.sqrt(ahead[1]) + np.float32(1e-8))
    return weights


def _slopes(weights: list[Array], inputs: Array, truth: npt.NDArray[np.intp]) -> list[Array]:
    w1, b1, w2, b2 = weights
    hidden = np.maximum(inputs @ w1 + b1, 0)
    scores = hidden @ w2 + b2
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    error = powers / powers.sum(axis=1, keepdims=True)
    error[np.arange(len(truth)), truth] -= 1
    error /= len(truth)
    back = (error @ w2.T) * (hidden > 0)
    return [inputs.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0)]


def accuracy(weights: list[Array], inputs: Array, truth: npt.NDArray[np.intp]) -> float:
    """Share of the cells whose likeliest character is the right one."""
    w1, b1, w2, b2 = weights
    best = (np.maximum(inputs @ w1 + b1, 0) @ w2 + b2).argmax(axis=1)
    return float((best == truth).mean())


if __name__ == "__main__":
    raise SystemExit(main())
