"""A small chart as SVG text: a frame, two scales, and marks in it, drawn in a millisecond.

Numbers of the data are mapped to the frame by `Scale`; sizes are pixels of a chart 440 wide, which the page scales.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"
"""Of Okabe and Ito, whom the colour-blind tell apart; shape or position always says the same again."""
WIDTH = 440
"""Narrow, so that letters stay readable when a phone shrinks it."""
_RIGHT, _TOP, _BOTTOM = 12, 16, 34
_LETTER = 6.2
"""About the width of a letter at this size."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A number of the data -> a pixel."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a value is drawn."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return round(self.start + share * (self.end - self.start), 2)

    def ticks(self, most: int = 5, *, whole: bool = False) -> list[float]:
        """Round numbers within the scale, at most so many and one; with `whole` integers alone."""
        rough = (self.high - self.low) / most or 1.0
        power = 10 ** math.floor(math.log10(rough))
        step = next(one * power for one in (1, 2, 5, 10) if one * power >= rough * 0.999)
        step = max(1.0, step) if whole else step
        first = math.ceil(self.low / step - 1e-9)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


@dataclass(slots=True)
class Chart:
    """Marks in a frame; `left` is the room for what stands left of it."""

    height: float
    left: float = 46
    marks: list[str] = field(default_factory=list)

    def x(self, low: float, high: float) -> Scale:
        """A scale from left to right."""
        return Scale(low, high, self.left, WIDTH - _RIGHT)

    def y(self, low: float, high: float) -> Scale:
        """A scale upwards."""
        return Scale(low, high, self.height - _BOTTOM, _TOP)

    def rect(self, x: float, y: float, width: float, height: float, colour: str, *, opacity: float = 0.8) -> None:
        """A bar."""
        self.marks.append(
            f'<rect x="{x:.2f}" y="{y:.2f}" width="{max(0.0, width):.2f}" height="{max(0.0, height):.2f}" '
            f'fill="{colour}" fill-opacity="{opacity}"/>'
        )

    def line(
        self, x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1, dash: str = ""
    ) -> None:
        """A line."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.marks.append(
            f'<line x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}" stroke="{colour}" '
            f'stroke-width="{width}"{dashed}/>'
        )

    def dot(self, x: float, y: float) -> None:
        """A point."""
        self.marks.append(f'<circle cx="{x:.2f}" cy="{y:.2f}" r="3"/>')

    def text(self, x: float, y: float, words: str, anchor: str = "middle", colour: str = "currentColor") -> None:
        """Words at a place."""
        self.marks.append(
            f'<text x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'
        )

    def x_axis(self, scale: Scale, title: str, ticks: Sequence[tuple[float, str]] | None = None) -> None:
        """The line below, its numbers and its title."""
        below = self.height - _BOTTOM
        self.line(self.left, below, WIDTH - _RIGHT, below, GREY)
        for value, words in ticks if ticks is not None else [(one, f"{one:g}") for one in scale.ticks()]:
            self.text(scale(value), below + 13, words)
        self.text((self.left + WIDTH - _RIGHT) / 2, self.height - 5, title)

    def y_axis(self, scale: Scale, title: str, *, whole: bool = False) -> None:
        """The line at the left, its numbers, and its title above."""
        self.line(self.left, _TOP, self.left, self.height - _BOTTOM, GREY)
        for value in scale.ticks(4, whole=whole):
            self.text(self.left - 4, scale(value) + 3, f"{value:,g}", "end")
        self.text(4, _TOP - 6, title, "start")

    def svg(self) -> str:
        """The element."""
        marks = "".join(self.marks)
        return (
            f'<svg viewBox="0 0 {WIDTH} {self.height:g}" aria-hidden="true" xmlns="http://www.w3.org/2000/svg" '
            f'font-family="sans-serif" font-size="11" fill="currentColor">{marks}</svg>'
        )


def room_for(names: Sequence[str]) -> float:
    """The room for names left of the frame."""
    return 12 + _LETTER * max(map(len, names), default=0)
