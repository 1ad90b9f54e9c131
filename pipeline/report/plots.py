"""Facts -> plots, as SVG that stands in the page: no script, no network, sharp on paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.report.chart import BLUE, GREY, ORANGE, WIDTH, Chart, room_for
from pipeline.report.facts import UNSURE_UNDER, Facts, FieldConfidence, Rate

_HEIGHT = 190
_ROW = 20
_BINS = 40


def plot_rate(rate: Rate) -> str:
    """Requests a second over the run, under the allowed rate."""
    chart = Chart(_HEIGHT)
    unit_s = 60.0 if len(rate.per_s) * rate.bin_s > 180 else 1.0
    end = len(rate.per_s) * rate.bin_s / unit_s
    x, y = chart.x(0, end), chart.y(0, max([*rate.per_s, rate.allowed_per_s]) * 1.2)
    width = x(rate.bin_s / unit_s) - x(0)
    for at, per_s in enumerate(rate.per_s):
        chart.rect(x(at * rate.bin_s / unit_s), y(per_s), width + 0.2, y(0) - y(per_s), BLUE, opacity=0.6)
    if rate.allowed_per_s:
        chart.line(x(0), y(rate.allowed_per_s), x(end), y(rate.allowed_per_s), ORANGE, dash="5 3")
        chart.text(x(end), y(rate.allowed_per_s) - 4, "allowed", "end", ORANGE)
    chart.x_axis(x, f"{'minutes' if unit_s > 1 else 'seconds'} since the first call")
    chart.y_axis(y, "requests/s")
    return chart.svg()


def plot_latency(latencies_s: npt.NDArray[np.float32]) -> str:
    """How many calls took how long."""
    counts, edges = np.histogram(latencies_s, bins=_BINS)
    chart = Chart(_HEIGHT)
    x, y = chart.x(float(edges[0]), float(edges[-1])), chart.y(0, float(counts.max()) * 1.05)
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        chart.rect(x(left), y(count), x(right) - x(left), y(0) - y(count), BLUE)
    chart.x_axis(x, "seconds from request to response")
    chart.y_axis(y, "calls", whole=True)
    return chart.svg()


def plot_documents(rows: list[tuple[Any, ...]]) -> str:
    """Rows by document type."""
    chart = Chart(12 + _ROW * len(rows), room_for([name for name, _ in rows]))
    x = chart.x(0, max(count for _, count in rows) * 1.2)
    for at, (name, count) in enumerate(rows):
        top = 6 + _ROW * at
        chart.text(chart.left - 6, top + 13, name, "end")
        chart.rect(x(0), top + 2, x(count) - x(0), _ROW - 4, BLUE)
        chart.text(x(count) + 4, top + 13, f"{count:,}", "start")
    return chart.svg()


def plot_confidences(document_type: str, fields: list[FieldConfidence]) -> str:
    """For each field the 5th to 95th percentile as a thin line, the quartiles as a thick one, the median as a dot."""
    del document_type
    chart = Chart(60 + _ROW * len(fields), room_for([one.name for one in fields]))
    x = chart.x(min(0.5, *(one.quantiles[0] for one in fields)), 1.005)
    for at, one in enumerate(fields):
        low, lower, median, upper, high = map(x, one.quantiles)
        middle = 20 + _ROW * (at + 0.5)
        chart.text(chart.left - 6, middle + 4, one.name, "end")
        chart.line(low, middle, high, middle, BLUE)
        chart.line(lower, middle, upper, middle, BLUE, width=5)
        chart.dot(median, middle)
    chart.line(x(UNSURE_UNDER), 16, x(UNSURE_UNDER), 24 + _ROW * len(fields), ORANGE, dash="5 3")
    chart.x_axis(x, "confidence")
    return chart.svg()


def plot_trend(trend: list[dict[str, Any]]) -> str:
    """Images succeeded and dead-lettered in the last runs; of each bar the upper part, in a frame, is dead letters."""
    chart = Chart(_HEIGHT)
    counts = [(one["requests"]["succeeded"], one["requests"]["dead_lettered"]) for one in trend]
    x, y = chart.x(-0.7, max(len(trend), 5) - 0.3), chart.y(0, max(sum(pair) for pair in counts) * 1.15 or 1.0)
    width = x(0.7) - x(0)
    for at, (succeeded, failed) in enumerate(counts):
        left = x(at) - width / 2
        chart.rect(left, y(succeeded), width, y(0) - y(succeeded), BLUE)
        if failed:
            chart.rect(left, y(succeeded + failed), width, y(succeeded) - y(succeeded + failed), ORANGE)
            chart.line(left, y(succeeded), left + width, y(succeeded), "white", width=2)
    shown = sorted({0, len(trend) // 2, len(trend) - 1})
    chart.x_axis(x, "", [(at, trend[at]["run_id"][:8]) for at in shown])
    chart.y_axis(y, "images", whole=True)
    for at, (words, colour) in enumerate((("succeeded", BLUE), ("dead letters", ORANGE))):
        chart.rect(WIDTH - 190 + 90 * at, 2, 9, 9, colour)
        chart.text(WIDTH - 177 + 90 * at, 11, words, "start", GREY)
    return chart.svg()


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
