"""Specimen -> the image someone takes of it: turned, cluttered, blurred, dark, copied, cut; the truth goes along.

Lengths are in pixels of a card 1000 wide, whatever the image's size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

import cv2
import numpy as np
import numpy.typing as npt

from endpoint.imaging.decode import Pixels
from specimens.drawing.draw import Box, Specimen

Matrix = npt.NDArray[np.float64]
CORNER_RADIUS = 32


@dataclass(frozen=True, slots=True)
class Shot:
    """An image being made: its pixels, where the card's pixels went (3x3), how wide the card is in it."""

    pixels: Pixels
    moved: Matrix
    card_px: float


Step = Callable[[Shot, Random], Shot]


@dataclass(frozen=True, slots=True)
class Condition:
    """A way of taking the image: what is done in turn, the JPEG quality, the warning it should raise ("": none)."""

    steps: tuple[Step, ...]
    quality: int = 90
    warning: str = ""


def disturbed(specimen: Specimen, condition: Condition, random: Random) -> tuple[bytes, dict[str, Box]]:
    """The image as a JPEG file, and the boxes of the fields in its pixels."""
    pixels = np.asarray(specimen.image)
    shot = Shot(pixels, np.eye(3), float(pixels.shape[1]))
    for step in condition.steps:
        shot = step(shot, random)
    _, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(shot.pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, condition.quality]
    )
    return encoded.tobytes(), {name: _moved(box, shot.moved) for name, box in specimen.boxes.items()}


def _moved(box: Box, matrix: Matrix) -> Box:
    left, top, right, bottom = box
    corners = np.array([[[left, top]], [[right, top]], [[right, bottom]], [[left, bottom]]], dtype=np.float64)
    mapped = cv2.perspectiveTransform(corners, matrix).reshape(-1, 2)
    (left, top), (right, bottom) = mapped.min(axis=0), mapped.max(axis=0)
    return round(float(left)), round(float(top)), round(float(right)), round(float(bottom))


def _noise(random: Random) -> np.random.Generator:
    return np.random.default_rng(random.getrandbits(32))


def _bytes(values: npt.NDArray[np.floating]) -> Pixels:
    return np.asarray(np.clip(values, 0, 255), dtype=np.uint8)


def _on(shot: Shot, ground: Pixels, quad: Matrix, outline: Pixels | None = None) -> Shot:
    """The card laid on the ground so that its corners come to `quad`; `outline` says which of its pixels are card."""
    height, width = shot.pixels.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    matrix = cv2.getPerspectiveTransform(corners, quad.astype(np.float32))
    size = (ground.shape[1], ground.shape[0])
    mask = rounded(width, height) if outline is None else outline
    cover = np.asarray(cv2.warpPerspective(mask, matrix, size, flags=cv2.INTER_AREA), dtype=np.float32)[..., None] / 255
    card = np.asarray(cv2.warpPerspective(shot.pixels, matrix, size, flags=cv2.INTER_AREA), dtype=np.float32)
    across = float(np.linalg.norm(quad[1] - quad[0]))
    return Shot(_bytes(card * cover + ground * (1 - cover)), matrix @ shot.moved, across)


def rounded(width: int, height: int) -> Pixels:
    """255 inside a card with rounded corners, 0 outside."""
    mask = np.zeros((height, width), dtype=np.uint8)
    radius = round(CORNER_RADIUS * width / 1000)
    cv2.rectangle(mask, (radius, 0), (width - radius, height), 255, -1)
    cv2.rectangle(mask, (0, radius), (width, height - radius), 255, -1)
    for x in (radius, width - radius):
        for y in (radius, height - radius):
            cv2.circle(mask, (x, y), radius, 255, -1)
    return mask


def _table(random: Random, width: int, height: int, *, things: int) -> Pixels:
    """A table top: a dark or a warm colour, grain, and things lying about."""
    base = random.choice(((64, 52, 44), (96, 82, 66), (48, 56, 70), (120, 104, 88), (70, 84, 62), (58, 58, 60)))
    ground = np.empty((height, width, 3), dtype=np.float32)
    ground[:] = base
    grain = cv2.GaussianBlur(_noise(random).normal(0, 30, (height, width)).astype(np.float32), (0, 0), 2)
    ground += np.asarray(grain)[..., None]
    flat = np.ascontiguousarray(_bytes(ground))
    for _ in range(things):
        colour = tuple(random.randrange(30, 190) for _ in range(3))
        x, y = random.randrange(width), random.randrange(height)
        if random.random() < 0.5:
            cv2.rectangle(flat, (x, y), (x + random.randrange(40, 300), y + random.randrange(40, 300)), colour, -1)
        else:
            cv2.line(flat, (x, y), (random.randrange(width), random.randrange(height)), colour, random.randrange(3, 16))
    return flat


def _ground(shot: Shot, random: Random, *, things: int = 0, space: float = 1.3) -> tuple[Pixels, Matrix]:
    """A table around the card, and the card's corners in its middle."""
    height, width = shot.pixels.shape[:2]
    side_x, side_y = round(width * space), round(max(height * space, width * 0.9))
    left, top = (side_x - width) / 2, (side_y - height) / 2
    quad = np.array([[left, top], [left + width, top], [left + width, top + height], [left, top + height]])
    return _table(random, side_x, side_y, things=things), quad


def _turned(quad: Matrix, degrees: float) -> Matrix:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray((quad - quad.mean(axis=0)) @ turn.T + quad.mean(axis=0))


def at_an_angle(shot: Shot, random: Random) -> Shot:
    """On a plain table, turned by up to 12 degrees either way."""
    ground, quad = _ground(shot, random)
    return _on(shot, ground, _turned(quad, random.uniform(-12, 12)))


def in_perspective(shot: Shot, random: Random) -> Shot:
    """Taken from the side: each corner moves by up to 5 % of the card's width."""
    ground, quad = _ground(shot, random)
    reach = 0.05 * shot.card_px
    moves = np.array([[random.uniform(-reach, reach) for _ in range(2)] for _ in range(4)])
    return _on(shot, ground, _turned(quad + moves, random.uniform(-5, 5)))


def among_things(shot: Shot, random: Random) -> Shot:
    """On a table with things about, from the side."""
    ground, quad = _ground(shot, random, things=14, space=1.45)
    reach = 0.04 * shot.card_px
    moves = np.array([[random.uniform(-reach, reach) for _ in range(2)] for _ in range(4)])
    return _on(shot, ground, _turned(quad + moves, random.uniform(-6, 6)))


def quarter_turns(count: int) -> Step:
    """The image turned counter-clockwise by so many quarters."""

    def turn(shot: Shot, _: Random) -> Shot:
        pixels, moved = shot.pixels, shot.moved
        for _quarter in range(count):
            moved = np.array([[0, 1, 0], [-1, 0, pixels.shape[1] - 1], [0, 0, 1]], dtype=np.float64) @ moved
            pixels = np.rot90(pixels)
        return Shot(np.ascontiguousarray(pixels), moved, shot.card_px)

    return turn


def blurred(sigma: float) -> Step:
    """Out of focus: a Gaussian of that many pixels of a card 1000 wide."""

    def blur(shot: Shot, _: Random) -> Shot:
        return replace(
            shot, pixels=_bytes(cv2.GaussianBlur(shot.pixels, (0, 0), sigma * shot.card_px / 1000).astype(float))
        )

    return blur


def noisy(sigma: float) -> Step:
    """Sensor noise of that many grey levels."""

    def noise(shot: Shot, random: Random) -> Shot:
        return replace(shot, pixels=_bytes(shot.pixels + _noise(random).normal(0, sigma, shot.pixels.shape)))

    return noise


def darkened(shot: Shot, random: Random) -> Shot:
    """Under-exposed to about a third, with a shadow across and noise."""
    height, width = shot.pixels.shape[:2]
    shade = np.linspace(random.uniform(0.22, 0.3), random.uniform(0.36, 0.5), width)[None, :, None]
    dark = shot.pixels * shade + _noise(random).normal(0, 3, (height, width, 1))
    return replace(shot, pixels=_bytes(dark))


def glared(shot: Shot, random: Random) -> Shot:
    """A lamp's reflection: a soft white ellipse somewhere on the card."""
    height, width = shot.pixels.shape[:2]
    spot = np.zeros((height, width), dtype=np.float32)
    centre = (round(width * random.uniform(0.3, 0.7)), round(height * random.uniform(0.3, 0.7)))
    axes = (round(shot.card_px * random.uniform(0.10, 0.18)), round(shot.card_px * random.uniform(0.05, 0.10)))
    cv2.ellipse(spot, centre, axes, random.uniform(0, 180), 0, 360, random.uniform(0.7, 0.92), -1)
    soft = np.asarray(cv2.GaussianBlur(spot, (0, 0), shot.card_px * 0.025))[..., None]
    return replace(shot, pixels=_bytes(shot.pixels * (1 - soft) + 255 * soft))


def off_a_screen(shot: Shot, random: Random) -> Shot:
    """Shown on a screen and photographed: stripes of its red, green and blue dots, and moiré with the sensor."""
    height, width = shot.pixels.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    period, tilt = random.uniform(2.6, 4.2), random.uniform(-0.06, 0.06)
    phase = 2 * np.pi * (x + tilt * y) / period
    strength = random.uniform(0.08, 0.16)
    dots = np.stack([1 + strength * np.cos(phase + third * 2 * np.pi / 3) for third in range(3)], axis=2)
    wave = 1 + 0.05 * np.cos(2 * np.pi * (x * random.uniform(-1, 1) + y) / random.uniform(30, 70))[..., None]
    bluish = np.array([0.96, 1.0, 1.05])
    return replace(shot, pixels=_bytes(shot.pixels * dots * wave * bluish))


def photocopied(shot: Shot, random: Random) -> Shot:
    """Copied in black and white: grey, harder contrast, specks, perhaps a tint of the lamp it is photographed by."""
    grey = np.asarray(cv2.cvtColor(shot.pixels, cv2.COLOR_RGB2GRAY), dtype=np.float64)
    hard = (grey - 128) * random.uniform(1.15, 1.5) + 140 + _noise(random).normal(0, 4, grey.shape)
    tint = np.array([1.0, random.uniform(0.96, 1.0), random.uniform(0.90, 1.0)])
    return replace(shot, pixels=_bytes(hard[..., None] * tint))


def corner_clipped(shot: Shot, random: Random) -> Shot:
    """One corner of the card cut off, as cancelled cards are: 7 to 13 % of its width."""
    height, width = shot.pixels.shape[:2]
    cut = random.uniform(0.07, 0.13) * width
    outline = rounded(width, height)
    x, y = random.choice((0, width)), random.choice((0, height))
    inward = np.array([1 if x == 0 else -1, 1 if y == 0 else -1])
    triangle = np.array([[x, y], [x + inward[0] * cut, y], [x, y + inward[1] * cut]], dtype=np.int32)
    cv2.fillPoly(outline, [triangle], 0)
    ground, quad = _ground(shot, random)
    return _on(shot, ground, _turned(quad, random.uniform(-5, 5)), outline)


def corner_missing(shot: Shot, random: Random) -> Shot:
    """One corner outside the image: the camera was held too far to a side."""
    whole = at_an_angle(shot, random) if random.random() < 0.5 else in_perspective(shot, random)
    height, width = shot.pixels.shape[:2]
    ends = np.array([[[0, 0]], [[width, 0]], [[width, height]], [[0, height]]], dtype=np.float64)
    corners = cv2.perspectiveTransform(ends, whole.moved).reshape(-1, 2)
    off = random.uniform(0.07, 0.12) * whole.card_px
    left, top = corners[:, 0].min() + off, corners[:, 1].min() + off
    right, bottom = corners[:, 0].max() - off, corners[:, 1].max() - off
    full = (0, 0, whole.pixels.shape[1], whole.pixels.shape[0])
    x0, y0, x1, y1 = random.choice(
        (
            (left, top, full[2], full[3]),
            (full[0], top, right, full[3]),
            (left, full[1], full[2], bottom),
            (full[0], full[1], right, bottom),
        )
    )
    cut = np.ascontiguousarray(whole.pixels[round(y0) : round(y1), round(x0) : round(x1)])
    shift = np.array([[1, 0, -round(x0)], [0, 1, -round(y0)], [0, 0, 1]], dtype=np.float64)
    return Shot(cut, shift @ whole.moved, whole.card_px)


def resized(least_px: int, most_px: int) -> Step:
    """The image at a size of which the card is so many pixels wide."""

    def resize(shot: Shot, random: Random) -> Shot:
        wide = math.exp(random.uniform(math.log(least_px), math.log(most_px)))
        share = wide / shot.card_px
        how = cv2.INTER_AREA if share < 1 else cv2.INTER_CUBIC
        pixels = np.asarray(cv2.resize(shot.pixels, None, fx=share, fy=share, interpolation=how), dtype=np.uint8)
        return Shot(pixels, np.diag([share, share, 1.0]) @ shot.moved, wide)

    return resize


def turned_by(degrees: float) -> Step:
    """On a table, turned by so many degrees either way."""

    def turn(shot: Shot, random: Random) -> Shot:
        ground, quad = _ground(shot, random)
        return _on(shot, ground, _turned(quad, random.choice((-degrees, degrees))))

    return turn


def turned_within(degrees: float) -> Step:
    """Turned by so many degrees either way in an image hardly larger than the card: its corners are cut off."""

    def turn(shot: Shot, random: Random) -> Shot:
        height, width = shot.pixels.shape[:2]
        rim = round(0.03 * width)
        usual = tuple(int(level) for level in np.median(shot.pixels[::8, ::8], axis=(0, 1)))
        ground = np.empty((height + 2 * rim, width + 2 * rim, 3), dtype=np.uint8)
        ground[:] = random.choice(((255, 255, 255), (0, 0, 0), (200, 200, 200), usual))
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64) + rim
        return _on(shot, ground, _turned(corners, random.choice((-degrees, degrees))))

    return turn


def laminated(shot: Shot, _: Random) -> Shot:
    """In a film that stands out around the card: a pale rim with rounded corners."""
    height, width = shot.pixels.shape[:2]
    rim = round(0.035 * width)
    film = np.full((height + 2 * rim, width + 2 * rim, 3), (226, 230, 232), dtype=np.uint8)
    film[rim:-rim, rim:-rim] = shot.pixels
    cv2.rectangle(film, (2, 2), (film.shape[1] - 3, film.shape[0] - 3), (196, 200, 204), 3)
    shift = np.array([[1, 0, rim], [0, 1, rim], [0, 0, 1]], dtype=np.float64)
    return Shot(film, shift @ shot.moved, shot.card_px)


def shadowed(shot: Shot, random: Random) -> Shot:
    """The shadow of a hand or a phone over part of the card, with a soft edge."""
    height, width = shot.pixels.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle, at = random.uniform(0, 2 * np.pi), random.uniform(-0.25, 0.25) * width
    across = (x - width / 2) * np.cos(angle) + (y - height / 2) * np.sin(angle) - at
    dark = random.uniform(0.35, 0.65)
    shade = 1 - dark / (1 + np.exp(-across / (0.02 * shot.card_px)))
    return replace(shot, pixels=_bytes(shot.pixels * shade[..., None]))


def screenshot(shot: Shot, random: Random) -> Shot:
    """An image within the screen of a phone: bars of one colour above and below, with a line of text in each."""
    height, width = shot.pixels.shape[:2]
    bar, tall = round(0.1 * width), round(random.uniform(0.9, 1.6) * width)
    colour = random.choice(((250, 250, 250), (18, 18, 18), (240, 242, 246)))
    screen = np.full((max(tall, height + 2 * bar), width, 3), colour, dtype=np.uint8)
    top = (screen.shape[0] - height) // 2
    screen[top : top + height] = shot.pixels
    ink = tuple(255 - channel for channel in colour)
    for y, text in ((bar // 2, "09:41   4G   87%"), (screen.shape[0] - bar // 3, "Gallery   Share   Edit   Delete")):
        cv2.putText(screen, text, (20, y), cv2.FONT_HERSHEY_SIMPLEX, width / 1400, ink, 2, cv2.LINE_AA)
    shift = np.array([[1, 0, 0], [0, 1, top], [0, 0, 1]], dtype=np.float64)
    return Shot(screen, shift @ shot.moved, shot.card_px)


def edges_cut(shot: Shot, random: Random) -> Shot:
    """Cropped too close: up to 2 % of the width is missing at each edge."""
    height, width = shot.pixels.shape[:2]
    left, top, right, bottom = (round(random.uniform(0.0, 0.02) * width) for _ in range(4))
    pixels = np.ascontiguousarray(shot.pixels[top : height - bottom, left : width - right])
    shift = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]], dtype=np.float64)
    return Shot(pixels, shift @ shot.moved, shot.card_px)


CONDITIONS: dict[str, Condition] = {
    "clean": Condition(()),
    "table": Condition((at_an_angle,)),
    "angle": Condition((in_perspective,)),
    "turned 5": Condition((turned_by(5.0),)),
    "turned 5 within": Condition((turned_within(5.0),)),
    "phone": Condition((among_things, blurred(0.8), noisy(5)), quality=70),
    "turned 90": Condition((at_an_angle, quarter_turns(1))),
    "turned 180": Condition((at_an_angle, quarter_turns(2))),
    "turned 270": Condition((at_an_angle, quarter_turns(3))),
    "jpeg 30": Condition((at_an_angle,), quality=30),
    "blur 1.2": Condition((at_an_angle, blurred(1.2))),
    "blur 2": Condition((at_an_angle, blurred(2.0))),
    "glare": Condition((at_an_angle, glared)),
    "dark": Condition((at_an_angle, darkened)),
    "screen": Condition((at_an_angle, off_a_screen), warning="1"),
    "photocopy": Condition((photocopied, at_an_angle), warning="2"),
    "clipped": Condition((corner_clipped,), warning="5"),
    "missing": Condition((corner_missing,), warning="6"),
    "wrong number": Condition((at_an_angle,), warning="3"),
}
"""Every way, by name. "clean" is the card alone, edge to edge; all others lie on a table.

What is wrong with "wrong number" is the person: see `people.misnumbered`.
"""

HARD_CONDITIONS: dict[str, Condition] = {
    "hard scan": Condition((resized(700, 1600),), quality=75),
    "hard crop": Condition((edges_cut, resized(600, 1400)), quality=65),
    "hard angle": Condition((in_perspective, resized(700, 1800)), quality=75),
    "hard turned 5": Condition((turned_by(5.0), resized(700, 1600)), quality=75),
    "hard turned 5 within": Condition((turned_within(5.0), resized(700, 1600)), quality=75),
    "hard phone": Condition(
        (laminated, among_things, shadowed, blurred(0.9), noisy(5), resized(650, 1500)), quality=60
    ),
    "hard glare": Condition((at_an_angle, glared, resized(700, 1600)), quality=75),
    "hard small": Condition((resized(300, 520),), quality=80),
    "hard large": Condition((in_perspective, resized(2200, 4000)), quality=60),
    "hard jpeg": Condition((at_an_angle, resized(700, 1200)), quality=22),
    "hard screenshot": Condition((at_an_angle, screenshot, resized(500, 1080)), quality=70),
}
"""Ways in which photographs of real cards are taken and passed on, for cards drawn in `hard_style`."""
