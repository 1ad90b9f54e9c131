"""Figures by matplotlib -> SVG that stands in the page: no script, no network, sharp on paper."""

from __future__ import annotations

import io
import re
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

_WIDTH_INCH = 4.6
"""Narrow, so that letters stay readable when a phone shrinks it."""
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "cardbeam",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def drawn(height_inch: float) -> tuple[Figure, Axes]:
    """A figure of a page's width, and its axes."""
    figure = Figure(figsize=(_WIDTH_INCH, height_inch), layout="constrained")
    return figure, figure.add_subplot()


def svg(figure: Figure, name: str) -> str:
    """The SVG element alone; ids are made the plot's own, for all plots share one page."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = out.getvalue()
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", text[text.index("<svg") :])
    return re.sub(r'width="[^"]+pt" height="[^"]+pt"', 'aria-hidden="true"', text, count=1)
