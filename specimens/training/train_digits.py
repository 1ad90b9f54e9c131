"""Trains the digit classifier of card numbers from installed fonts: `python -m specimens.training.train_digits`.

Numbers are drawn with the faces of the tuning half and with a flat-topped 3, spoiled as photographs spoil them, and
cut by the very code that cuts them off a card.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from endpoint.imaging.decode import Pixels
from endpoint.mrz.classifier import normalised
from endpoint.mrz.segment import CellImages
from endpoint.ocr.digit_classifier import DIGITS, WEIGHTS, cut_digits
from specimens.drawing.draw import FLAT_THREE
from specimens.drawing.fonts import font
from specimens.training.train_glyphs import accuracy, train

FACES = ("liberation-sans", "liberation-serif", "dejavu-sans")
LENGTH = 12


def main(argv: Sequence[str] | None = None) -> int:
    """Train and write the weights; prints the accuracy on samples held out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[2] / "endpoint" / "data" / WEIGHTS)
    parser.add_argument("--samples", type=int, default=7000, help="drawn numbers of 12 digits")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    random = np.random.default_rng(options.seed)
    cells, truth = samples(random, options.samples)
    kept = len(cells) * 9 // 10
    weights = train(normalised(cells[:kept]), truth[:kept], random, classes=len(DIGITS))
    right = accuracy(weights, normalised(cells[kept:]), truth[kept:])
    print(f"held out: {right:.4f} of {len(cells) - kept} digits right")
    w1, b1, w2, b2 = (part.astype(np.float16) for part in weights)
    np.savez_compressed(options.output, w1=w1, b1=b1, w2=w2, b2=b2)
    return 0


def samples(random: np.random.Generator, numbers: int) -> tuple[CellImages, npt.NDArray[np.intp]]:
    """Cells (n, 24, 16) and the digit of each; numbers that fall into other than their digits are left out."""
    cells: list[CellImages] = []
    truth: list[npt.NDArray[np.intp]] = []
    while len(truth) < numbers:
        digits = random.integers(0, 10, LENGTH)
        image, box = drawn(digits, random)
        found = cut_digits(image, box)
        if found is not None and len(found) == LENGTH:
            cells.append(found)
            truth.append(digits)
    return np.concatenate(cells), np.concatenate(truth).astype(np.intp)


def drawn(
    digits: npt.NDArray[np.intp], random: np.random.Generator
) -> tuple[Pixels, tuple[float, float, float, float]]:
    """A number in red or black on a tinted ground with a pattern, as on a card 1000 pixels wide, and its box."""
    face = font(str(random.choice(FACES)), 120, bold=bool(random.random() < 0.8))
    has_flat_three = random.random() < 0.5
    text = "".join(DIGITS[digit] for digit in digits)
    width = round(face.getlength("0") * (LENGTH + 2))
    ink = Image.new("L", (width, 240), 0)
    pen, x = ImageDraw.Draw(ink), round(face.getlength("0"))
    spread = random.uniform(-2, 6)
    for char in text:
        if char == "3" and has_flat_three:
            _flat_three(ink, x, face)
        else:
            pen.text((x, 170), char, 255, face, anchor="ls")
        x += round(face.getlength(char) + spread)
    share = random.uniform(18, 36) / 90  # digits 18 to 36 pixels tall
    bold = _other_weight(np.asarray(ink), random)
    across = share * random.uniform(0.85, 1.15)  # narrow and wide faces
    small = cv2.resize(bold.astype(np.float32) / 255, None, fx=across, fy=share, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), random.uniform(0.3, 0.09 * 90 * share))[..., None]
    colour = np.array((170, 36, 40) if random.random() < 0.6 else (38, 42, 52), np.float32)
    ground = random.uniform(190, 245, 3) + _pattern(small.shape[:2], random)[..., None]
    noise = random.normal(0, random.uniform(0, 9), small.shape)
    image = np.clip(ground * (1 - small) + colour * small + noise, 0, 255).astype(np.uint8)
    left, top, right, bottom = ink.getbbox() or (0, 0, 1, 1)
    return image, (left * across, top * share, right * across, bottom * share)


def _other_weight(ink: Pixels, random: np.random.Generator) -> Pixels:
    """A little bolder, lighter or slanted: faces that are not installed differ so from those that are."""
    reach = int(random.integers(1, 6))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    weighed = cv2.dilate(ink, kernel) if random.random() < 0.5 else cv2.erode(ink, kernel)
    slant = random.uniform(-0.06, 0.06)
    matrix = np.array([[1, slant, -slant * 130], [0, 1, 0]], dtype=np.float64)
    return np.asarray(cv2.warpAffine(weighed, matrix, (ink.shape[1], ink.shape[0])), dtype=np.uint8)


def _pattern(shape: tuple[int, int], random: np.random.Generator) -> npt.NDArray[np.float64]:
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    wave = np.sin(y / random.uniform(0.8, 2) + 3 * np.sin(x / random.uniform(10, 40)))
    return np.asarray(-random.uniform(0, 45) * (wave > 0.5))


def _flat_three(ink: Image.Image, x: int, face: object) -> None:
    shape = face.getmask(FLAT_THREE, mode="L")  # type: ignore[attr-defined]  # a FreeTypeFont
    left, top, right, bottom = (round(side) for side in face.getbbox("3", anchor="ls"))  # type: ignore[attr-defined]
    glyph = Image.frombytes("L", shape.size, bytes(shape))
    ink.paste(glyph.crop(glyph.getbbox()).resize((right - left, bottom - top)), (x + left, 170 + top))


if __name__ == "__main__":
    raise SystemExit(main())
