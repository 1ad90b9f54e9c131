"""What is printed under, over and around the text of a real card: guilloche, rosettes, an emblem, a hologram, a code.

Every figure is of this project's own making: curves of a few sines, never the pattern of a real document.
"""

from __future__ import annotations

import math
from random import Random

import numpy as np
import zxingcpp
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]


def guilloche(image: Image.Image, random: Random, strength: float) -> None:
    """Families of fine wavy lines and two rosettes in tints of the card, `strength` 0 to 1 of full contrast."""
    pen, (width, height) = ImageDraw.Draw(image), image.size
    base: Colour = image.getpixel((0, 0))  # type: ignore[assignment]  # an RGB image
    for tint in _tints(base, random, strength):
        step, sway = random.uniform(5, 9) * width / 1000, random.uniform(10, 26) * width / 1000
        length, drift = random.uniform(60, 160) * width / 1000, random.uniform(0.2, 1.2)
        for top in np.arange(-sway, height + sway, step):
            points = [
                (x, top + sway * math.sin(x / length + drift * math.sin(top / 40)) + 3 * math.sin(x / 11 + top / 9))
                for x in range(0, width + 8, 8)
            ]
            pen.line(points, fill=tint, width=max(1, width // 700))
    for _ in range(2):
        centre = (random.uniform(0.25, 0.95) * width, random.uniform(0.2, 0.85) * height)
        rosette(pen, centre, random.uniform(0.16, 0.3) * width, _tints(base, random, strength)[0], random)


def _tints(base: Colour, random: Random, strength: float) -> list[Colour]:
    """Two inks: each takes more of some channels than of others, as printed security tints do."""
    tints = []
    for _ in range(2):
        depths = [random.uniform(0.15, 1.0) * 120 * strength for _ in range(3)]
        red, green, blue = (max(0, round(channel - depth)) for channel, depth in zip(base, depths, strict=True))
        tints.append((red, green, blue))
    return tints


def rosette(pen: ImageDraw.ImageDraw, centre: tuple[float, float], radius: float, tint: Colour, random: Random) -> None:
    """A flower of closed curves around a point."""
    petals, turns = random.choice((9, 12, 16, 20)), random.choice((7, 11, 14))
    for turn in range(turns):
        depth, phase = 0.25 + 0.6 * turn / turns, math.tau * turn / turns / petals
        angles = np.linspace(0, math.tau, 360)
        reach = radius * depth * (0.8 + 0.2 * np.cos(petals * (angles + phase)))
        points = list(zip(centre[0] + reach * np.cos(angles), centre[1] + reach * np.sin(angles), strict=True))
        pen.line(points, fill=tint, width=1)


def emblem(image: Image.Image, box: Box) -> None:
    """A plain red disc with a pale ring, where a card has its emblem."""
    pen = ImageDraw.Draw(image)
    pen.ellipse(box, fill=(186, 60, 54), outline=(226, 190, 90), width=max(2, (box[2] - box[0]) // 12))


def qr_code(image: Image.Image, box: Box, text: str) -> None:
    """A QR code that fills the box, on white."""
    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    modules = np.array(zxingcpp.write_barcode_to_image(code, scale=4, add_quiet_zones=True))
    size = (box[2] - box[0], box[3] - box[1])
    image.paste(Image.fromarray(modules).convert("RGB").resize(size, Image.Resampling.LANCZOS), box[:2])


def hologram(image: Image.Image, random: Random) -> Image.Image:
    """A rainbow film in part of the card, stronger at some angle of the light."""
    width, height = image.size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    phase = (x * random.uniform(0.5, 1.5) + y * random.uniform(0.5, 1.5)) / (0.12 * width)
    rainbow = np.stack([0.5 + 0.5 * np.sin(phase + third * math.tau / 3) for third in range(3)], axis=2)
    middle = (random.uniform(0.2, 0.8) * width, random.uniform(0.2, 0.8) * height)
    reach = random.uniform(0.12, 0.22) * width
    share = np.exp(-((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / reach**2)[..., None] * random.uniform(0.2, 0.5)
    mixed = np.asarray(image, dtype=np.float32) * (1 - share) + 255 * rainbow * share
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


def worn(image: Image.Image, random: Random) -> Image.Image:
    """Scratches, rubbed spots and a fold, paler than the print."""
    layer = Image.new("L", image.size, 0)
    pen, (width, height) = ImageDraw.Draw(layer), image.size
    for _ in range(random.randrange(12, 30)):
        x, y, angle = random.uniform(0, width), random.uniform(0, height), random.uniform(0, math.tau)
        length = random.uniform(0.02, 0.2) * width
        end = (x + length * math.cos(angle), y + length * math.sin(angle))
        pen.line(((x, y), end), fill=random.randrange(60, 170), width=random.randrange(1, 3))
    for _ in range(random.randrange(3, 8)):
        x, y, size = random.uniform(0, width), random.uniform(0, height), random.uniform(0.01, 0.05) * width
        pen.ellipse((x, y, x + size, y + size * 0.6), fill=random.randrange(30, 90))
    soft = layer.filter(ImageFilter.GaussianBlur(max(0.6, width / 1600)))
    return Image.composite(Image.new("RGB", image.size, (236, 234, 228)), image, soft)
