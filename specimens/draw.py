"""Layout + person -> a specimen: the image of a card that could never pass for one, and the truth of what it says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw, ImageFont

from schemas.documents import DOCUMENTS
from specimens.facts import COMMON, facts, holder
from specimens.fonts import font, mrz_font
from specimens.layouts import Form, Layout, Printed
from specimens.mrz_lines import zone_lines
from specimens.people import Person

Box = tuple[int, int, int, int]
INK = (38, 42, 52)
LABEL_INK = (70, 84, 120)
RED = (170, 36, 40)
LINE_STEP = 1.32
"""Line spacing, in font sizes."""


@dataclass(frozen=True, slots=True)
class Style:
    """What varies between two prints of one layout: font, print shift in pixels, tint."""

    face: str = "liberation-sans"
    shift: tuple[int, int] = (0, 0)
    tint_shift: tuple[int, int, int] = (0, 0, 0)
    marked: bool = True
    scale: float = 1.3
    """Pixels drawn per layout pixel: 1.3 is 1300 pixels for the width of a card."""


@dataclass(frozen=True, slots=True)
class Specimen:
    """A drawn card and its truth: type, value by field, box by field in pixels of `image`, the zone's lines."""

    image: Image.Image
    document_type: str
    values: dict[str, str]
    boxes: dict[str, Box]
    zone: tuple[str, ...]


def random_style(random: Random, faces: tuple[str, ...]) -> Style:
    """A print of its own: one of the faces, shifted by up to 6 pixels, tinted a little."""
    return Style(
        face=random.choice(faces),
        shift=(random.randint(-6, 6), random.randint(-6, 6)),
        tint_shift=(random.randint(-8, 8), random.randint(-8, 8), random.randint(-8, 8)),
    )


def draw(layout: Layout, person: Person, style: Style) -> Specimen:
    """The specimen of a person in a layout and style."""
    given = facts(person, layout.document_type, layout.variant)
    printable = {name: fact(person) for name, fact in COMMON.items()} | given
    canvas = _Canvas(layout, style)
    canvas.background()
    if layout.portrait:
        canvas.portrait(layout.portrait, person.gender)
    boxes = {}
    for item in layout.printed:
        box = canvas.print(item, printable.get(item.field, ""))
        if box and any(field.name == f"{item.field}_box" for field in DOCUMENTS[layout.document_type]):
            boxes[item.field] = box
    zone = zone_lines(holder(person, layout.document_type), layout.document_type) if layout.zone_y else ()
    canvas.zone(zone)
    if style.marked:
        canvas.mark()
    return Specimen(canvas.image, layout.document_type, given, boxes, zone)


class _Canvas:
    """A card being drawn; layout coordinates are scaled here and nowhere else."""

    def __init__(self, layout: Layout, style: Style) -> None:
        self.layout = layout
        self.style = style
        tint = tuple(min(255, max(0, base + shift)) for base, shift in zip(layout.tint, style.tint_shift, strict=True))
        self.image = Image.new("RGB", (self._px(1000), self._px(layout.height)), tint)
        self.pen = ImageDraw.Draw(self.image)

    def _px(self, length: float) -> int:
        return round(length * self.style.scale)

    def _box(self, box: Box) -> Box:
        left, top, right, bottom = (self._px(side) for side in box)
        return left, top, right, bottom

    def background(self) -> None:
        """Pale waves, a frame, and where the layout has them a chip and finger prints (plain ovals)."""
        width, height = self.image.size
        pale = tuple(max(0, channel - 10) for channel in self.layout.tint)
        for wave in range(0, height + 60, self._px(14)):
            points = [(x, wave + 10 * math.sin(x / 60 + wave)) for x in range(0, width, 12)]
            self.pen.line(points, fill=pale, width=1)
        self.pen.rectangle((2, 2, width - 3, height - 3), outline=(120, 130, 140), width=2)
        if self.layout.chip:
            self.pen.rounded_rectangle(self._box(self.layout.chip), self._px(8), fill=(214, 186, 110), outline=INK)
        for box in self.layout.prints:
            self.pen.ellipse(self._box(box), outline=(120, 120, 130), width=self._px(3))

    def portrait(self, box: Box, gender: str) -> None:
        """A cartoon: a round head, two dots, a smile."""
        left, top, right, bottom = self._box(box)
        wide, tall, pen = right - left, bottom - top, self.pen
        pen.rectangle((left, top, right, bottom), fill=(196, 214, 232))
        middle, radius = (left + right) / 2, wide * 0.26
        head_y = top + tall * 0.40
        if gender == "nữ":
            pen.ellipse(
                (middle - radius * 1.35, head_y - radius * 1.3, middle + radius * 1.35, head_y + radius * 1.7),
                fill=(60, 50, 48),
            )
        pen.chord(
            (left + wide * 0.08, top + tall * 0.72, right - wide * 0.08, bottom + tall * 0.28),
            180,
            360,
            fill=(90, 120, 160),
        )
        pen.ellipse(
            (middle - radius, head_y - radius, middle + radius, head_y + radius), fill=(244, 214, 180), outline=INK
        )
        for side in (-0.4, 0.4):
            pen.ellipse((middle + radius * side - 5, head_y - 12, middle + radius * side + 5, head_y - 2), fill=INK)
        pen.arc(
            (middle - radius * 0.5, head_y - radius * 0.2, middle + radius * 0.5, head_y + radius * 0.6),
            20,
            160,
            fill=INK,
            width=4,
        )

    def print(self, item: Printed, value: str) -> Box | None:
        """Print the item; the box of its value in pixels, None where it has none."""
        x = item.x + (self.style.shift[0] if item.field else 0)
        y = item.y + (self.style.shift[1] if item.field else 0)
        size = self._px(item.size if not item.field else round(item.size * 0.86))
        label_font = font(self.style.face, size, bold=item.bold and not item.field)
        at_x, at_y = self._px(x), self._px(y)
        if not item.field:
            self.pen.text(
                (at_x, at_y),
                item.label,
                INK if not item.bold else RED,
                label_font,
                anchor="ma" if item.centred else "la",
            )
            return None
        value_font = font(self.style.face, self._px(item.size), bold=item.bold)
        baseline = at_y + self._px(item.size)
        self.pen.text((at_x, baseline), item.label, LABEL_INK, label_font, anchor="ls")
        if item.below:
            return self._value(item, value, value_font, (at_x, baseline + self._px(item.size * LINE_STEP)), at_x)
        start = at_x + (int(label_font.getlength(item.label)) + self._px(12) if item.label else 0)
        return self._value(item, value, value_font, (start, baseline), at_x)

    def _value(
        self, item: Printed, value: str, value_font: ImageFont.FreeTypeFont, at: tuple[int, int], margin: int
    ) -> Box | None:
        left, baseline = at
        right = margin + self._px(item.width)
        boxes: list[tuple[float, float, float, float]] = []
        for text in _wrapped(in_form(value, item.form), value_font, right - left, right - margin):
            ink = INK if not item.bold else RED
            self.pen.text((left, baseline), text, ink, value_font, anchor="ls")
            given, _, _ = text.partition(" / ")
            boxes.append(self.pen.textbbox((left, baseline), given, value_font, anchor="ls"))
            left, baseline = margin, baseline + self._px(item.size * LINE_STEP)
        return union(boxes) if value else None

    def zone(self, lines: tuple[str, ...]) -> None:
        """The machine-readable zone: OCR-B at ten characters an inch of a card 85.6 mm (a passport: 125 mm) wide."""
        if not lines or self.layout.zone_y is None:
            return
        width = self.image.width
        pitch = width * (0.92 / len(lines[0]))
        face = mrz_font(round(pitch / 0.602))
        for index, line in enumerate(lines):
            y = self._px(self.layout.zone_y + index * 56)
            for cell, char in enumerate(line):
                self.pen.text((width * 0.04 + cell * pitch, y), char, INK, face)

    def mark(self) -> None:
        """The words MẪU / SPECIMEN, large and across."""
        width, height = self.image.size
        layer = Image.new("RGBA", self.image.size, (0, 0, 0, 0))
        face = font(self.style.face, round(height * 0.17), bold=True)
        ImageDraw.Draw(layer).text((width / 2, height / 2), "MẪU / SPECIMEN", (205, 60, 60, 46), face, anchor="mm")
        turned = layer.rotate(math.degrees(math.atan2(height, width)) * 0.7, Image.Resampling.BICUBIC)
        self.image = Image.alpha_composite(self.image.convert("RGBA"), turned).convert("RGB")


def in_form(value: str, form: Form) -> str:
    """A wire value as the card prints it."""
    day, month, year = [*value.split("-"), "", "", ""][:3]
    return {
        Form.TEXT: value,
        Form.SLASHES: value.replace("-", "/"),
        Form.DASHES: value,
        Form.WORDS: f"Ngày {day} tháng {month} năm {year}",
        Form.WORDS_BOTH: f"Ngày/date {day} tháng/month {month} năm/year {year}",
        Form.TITLE: value.capitalize(),
        Form.BOTH_SEXES: f"{value.capitalize()} / {'M' if value == 'nam' else 'F'}",
        Form.BOTH_NATIONS: f"{value} / VIETNAMESE",
    }[form]


def union(boxes: list[tuple[float, float, float, float]]) -> Box:
    """The box around boxes, rounded outwards."""
    return (
        math.floor(min(box[0] for box in boxes)),
        math.floor(min(box[1] for box in boxes)),
        math.ceil(max(box[2] for box in boxes)),
        math.ceil(max(box[3] for box in boxes)),
    )


def _wrapped(text: str, face: ImageFont.FreeTypeFont, first_px: int, rest_px: int) -> list[str]:
    """Text broken at spaces: the first line may be shorter, being right of its label."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        room = first_px if len(lines) == 1 else rest_px
        if lines[-1] and face.getlength(longer) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
