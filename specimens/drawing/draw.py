"""Layout + person -> a specimen: the image of a card that could never pass for one, and the truth of what it says."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from random import Random

from PIL import Image, ImageDraw, ImageFont

from schemas.documents import DOCUMENTS
from specimens.drawing.fonts import font, mrz_font
from specimens.drawing.layouts import Form, Layout, Printed
from specimens.drawing.mrz_lines import zone_lines
from specimens.drawing.patterns import emblem, guilloche, hologram, qr_code, worn
from specimens.facts import COMMON, facts, holder
from specimens.people import Person

Box = tuple[int, int, int, int]
INK = (38, 42, 52)
LABEL_INK = (70, 84, 120)
RED = (170, 36, 40)
FLAT_THREE = "\u01b7"
"""A letter (ezh) of the shape that the 3 of the 12-digit cards has."""
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
    pattern: float = 0.0
    """Contrast of the guilloche under the text, 0 to 1; 0 is a card of pale waves."""
    seed: int = 0
    """Of the pattern, the hologram and the wear."""
    own_numerals: bool = False
    """Whether a red number has a 3 with a flat top, as the 12-digit cards have."""
    is_holographic: bool = False
    is_worn: bool = False


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


def hard_style(random: Random, faces: tuple[str, ...]) -> Style:
    """A print as real cards are: on guilloche of any contrast, with numerals of its own, perhaps worn or shining."""
    return replace(
        random_style(random, faces),
        pattern=random.uniform(0.4, 1.2),
        seed=random.getrandbits(32),
        own_numerals=random.random() < 0.8,
        is_holographic=random.random() < 0.3,
        is_worn=random.random() < 0.4,
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
    if layout.code:
        canvas.code(layout.code, code_text(person))
    if style.marked:
        canvas.mark()
    canvas.finish()
    return Specimen(canvas.image, layout.document_type, given, boxes, zone)


class _Canvas:
    """A card being drawn; layout coordinates are scaled here and nowhere else."""

    def __init__(self, layout: Layout, style: Style) -> None:
        self.layout = layout
        self.style = style
        tint = tuple(min(255, max(0, base + shift)) for base, shift in zip(layout.tint, style.tint_shift, strict=True))
        self.image = Image.new("RGB", (self._px(1000), self._px(layout.height)), tint)
        self.pen = ImageDraw.Draw(self.image)
        self.random = Random(style.seed)

    def _px(self, length: float) -> int:
        return round(length * self.style.scale)

    def _box(self, box: Box) -> Box:
        left, top, right, bottom = (self._px(side) for side in box)
        return left, top, right, bottom

    def background(self) -> None:
        """Pale waves, a frame, and where the layout has them a chip and finger prints (plain ovals)."""
        width, height = self.image.size
        if self.style.pattern:
            guilloche(self.image, self.random, self.style.pattern)
        else:
            self._waves()
        self.pen.rectangle((2, 2, width - 3, height - 3), outline=(120, 130, 140), width=2)
        if self.layout.emblem:
            emblem(self.image, self._box(self.layout.emblem))
        if self.layout.chip:
            self.pen.rounded_rectangle(self._box(self.layout.chip), self._px(8), fill=(214, 186, 110), outline=INK)
        for box in self.layout.prints:
            self.pen.ellipse(self._box(box), outline=(120, 120, 130), width=self._px(3))

    def _waves(self) -> None:
        width, height = self.image.size
        pale = tuple(max(0, channel - 10) for channel in self.layout.tint)
        for wave in range(0, height + 60, self._px(14)):
            points = [(x, wave + 10 * math.sin(x / 60 + wave)) for x in range(0, width, 12)]
            self.pen.line(points, fill=pale, width=1)

    def code(self, box: Box, text: str) -> None:
        """The QR code of a chip card."""
        qr_code(self.image, self._box(box), text)

    def finish(self) -> None:
        """What lies over the print."""
        if self.style.is_holographic:
            self.image = hologram(self.image, self.random)
        if self.style.is_worn:
            self.image = worn(self.image, self.random)

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
        size = self._px(item.label_size or (item.size if not item.field else round(item.size * 0.86)))
        label_font = font(self.style.face, size, bold=item.bold and not item.field)
        at_x, at_y = self._px(x), self._px(y)
        if not item.field:
            self.pen.text(
                (at_x, at_y),
                item.label,
                _ink(item),
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
            if item.dotted:
                self._dots(left, right, baseline + self._px(3))
            if self.style.own_numerals and _ink(item) == RED:
                self._numerals((left, baseline), text, value_font)
            else:
                self.pen.text((left, baseline), text, _ink(item), value_font, anchor="ls")
            given, _, _ = text.partition(" / ")
            boxes.append(self.pen.textbbox((left, baseline), given, value_font, anchor="ls"))
            left, baseline = margin, baseline + self._px(item.size * LINE_STEP)
        return union(boxes) if value else None

    def _numerals(self, at: tuple[int, int], text: str, face: ImageFont.FreeTypeFont) -> None:
        """A red number whose 3 has a flat top: an ezh, made as large as the 3 it stands for."""
        x, baseline = at
        for char in text:
            if char == "3":
                left, top, right, bottom = (round(side) for side in face.getbbox("3", anchor="ls"))
                mask = Image.new("L", (right - left, bottom - top))
                shape = face.getmask(FLAT_THREE, mode="L")
                drawn = Image.frombytes("L", shape.size, bytes(shape))
                mask.paste(drawn.crop(drawn.getbbox()).resize(mask.size, Image.Resampling.LANCZOS))
                self.image.paste(RED, (x + left, baseline + top), mask)
            else:
                self.pen.text((x, baseline), char, RED, face, anchor="ls")
            x += round(face.getlength(char))

    def _dots(self, left: int, right: int, y: int) -> None:
        radius = max(1, self._px(1))
        for x in range(left, right, self._px(7)):
            self.pen.ellipse((x, y, x + radius, y + radius), fill=INK)

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


def _ink(item: Printed) -> tuple[int, int, int]:
    return {"red": RED, "dark": INK}.get(item.ink, RED if item.bold else INK)


def code_text(person: Person) -> str:
    """What the QR code of a chip card says: number, former number, name, birth, sex, address, day of issue."""
    days = (f"{day:%d%m%Y}" for day in (person.dob, person.issued))
    born, issued = days
    sex, address = person.gender.capitalize(), person.address.printed
    return "|".join((person.number_12, person.number_9, person.name, born, sex, address, issued))


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
        space = first_px if len(lines) == 1 else rest_px
        if lines[-1] and face.getlength(longer) > space:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
