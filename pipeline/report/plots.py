"""Facts -> plots, as SVG that stands in the page: no script, no network, sharp on paper.

By matplotlib: its SVG needs nothing to be shown, while plotly and vega carry 1 to 4 MB of script into each page. The
colours are those of Okabe and Ito, which the colour-blind tell apart; shape or position always says the same again.
"""

from __future__ import annotations

import io
import re
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.report.facts import UNSURE_UNDER, Facts, FieldConfidence, Rate

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"
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


@mpl.rc_context(STYLE)
def plot_rate(rate: Rate) -> str:
    """Requests a second over the run, under the allowed rate."""
    figure, axes = drawn(2.1)
    in_minutes = len(rate.per_s) * rate.bin_s > 180
    unit_s = 60.0 if in_minutes else 1.0
    edges = [at * rate.bin_s / unit_s for at in range(len(rate.per_s) + 1)]
    axes.stairs(rate.per_s, edges, fill=True, color=BLUE, alpha=0.6)
    if rate.allowed_per_s:
        axes.axhline(rate.allowed_per_s, color=ORANGE, linestyle="--")
        axes.annotate("allowed", (edges[-1], rate.allowed_per_s), ha="right", va="bottom", color=ORANGE)
    axes.set(xlabel="minutes since the first call" if in_minutes else "seconds since the first call",
             ylabel="requests/s", xlim=(0, edges[-1]))  # fmt: skip
    axes.set_ylim(0, max([*rate.per_s, rate.allowed_per_s]) * 1.2)
    return svg(figure, "rate")


@mpl.rc_context(STYLE)
def plot_latency(latencies_s: npt.NDArray[np.float32]) -> str:
    """How many calls took how long."""
    figure, axes = drawn(2.1)
    axes.hist(latencies_s, bins=40, color=BLUE, alpha=0.8)
    axes.set(xlabel="seconds from request to response", ylabel="calls")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return svg(figure, "latency")


@mpl.rc_context(STYLE)
def plot_documents(rows: list[tuple[Any, ...]]) -> str:
    """Rows by document type."""
    figure, axes = drawn(0.6 + 0.28 * len(rows))
    names, counts = [name for name, _ in rows], [count for _, count in rows]
    bars = axes.barh(names, counts, color=BLUE, alpha=0.8)
    axes.bar_label(bars, [f"{count:,}" for count in counts], padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    return svg(figure, "documents")


@mpl.rc_context(STYLE)
def plot_confidences(document_type: str, fields: list[FieldConfidence]) -> str:
    """For each field the middle 90 % of readings as a thin line, the middle half as a thick one, the median a dot."""
    figure, axes = drawn(0.7 + 0.22 * len(fields))
    for at, one in enumerate(fields):
        low, lower, median, upper, high = one.quantiles
        axes.plot([low, high], [at, at], color=BLUE, linewidth=1)
        axes.plot([lower, upper], [at, at], color=BLUE, linewidth=4, solid_capstyle="butt")
        axes.plot(median, at, "o", color="black", markersize=4)
    axes.axvline(UNSURE_UNDER, color=ORANGE, linestyle="--")
    axes.set_yticks(range(len(fields)), [one.name for one in fields])
    axes.set_ylim(len(fields) - 0.5, -0.5)
    axes.set(xlabel="confidence", xlim=(min(0.5, *(one.quantiles[0] for one in fields)), 1.005))
    return svg(figure, f"confidence-{document_type}")


@mpl.rc_context(STYLE)
def plot_trend(trend: list[dict[str, Any]]) -> str:
    """Images answered and dead in the last runs."""
    figure, axes = drawn(2.1)
    at = range(len(trend))
    answered = [one["requests"]["succeeded"] for one in trend]
    failed = [one["requests"]["dead_lettered"] for one in trend]
    axes.bar(at, answered, color=BLUE, alpha=0.8, label="succeeded", width=0.7)
    axes.bar(at, failed, bottom=answered, color=ORANGE, hatch="///", edgecolor="white", label="dead letters", width=0.7)
    shown = sorted({0, len(trend) // 2, len(trend) - 1})
    axes.set_xticks(shown, [trend[number]["run_id"][:8] for number in shown])
    axes.set_xlim(-0.7, max(len(trend), 5) - 0.3)
    axes.set_ylabel("images")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper left", bbox_to_anchor=(0, 1.2), ncols=2, frameon=False)
    return svg(figure, "trend")


def plots_of(facts: Facts) -> dict[str, str]:
    """The plots by name; empty where there is nothing to draw."""
    plots = {"rate": "", "latency": "", "documents": "", "trend": plot_trend(facts.trend)}
    if facts.rate.per_s:
        plots["rate"] = plot_rate(facts.rate)
    if len(facts.latencies_s):
        plots["latency"] = plot_latency(facts.latencies_s)
    if facts.documents.rows:
        plots["documents"] = plot_documents(facts.documents.rows)
    return plots
