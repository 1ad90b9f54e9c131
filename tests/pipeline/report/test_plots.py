"""Each plot is whole SVG whose marks lie in its frame, for any numbers."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.chart import WIDTH, Scale
from pipeline.report.facts import FieldConfidence, Rate
from pipeline.report.plots import plot_confidences, plot_documents, plot_latency, plot_rate, plot_trend

SVG = "{http://www.w3.org/2000/svg}"
COUNTS = st.integers(0, 10_000_000)


def drawn(svg: str) -> ET.Element:
    """The element, once every mark in it was seen to lie within it."""
    root = ET.fromstring(svg)
    height = float(root.attrib["viewBox"].split()[3])
    for mark in root:
        across = [float(mark.attrib[name]) for name in ("x", "x1", "x2", "cx") if name in mark.attrib]
        down = [float(mark.attrib[name]) for name in ("y", "y1", "y2", "cy") if name in mark.attrib]
        assert all(-1 <= one <= WIDTH + 1 for one in across)
        assert all(-1 <= one <= height + 1 for one in down)
    return root


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=100), st.sampled_from([1.0, 7.5]), st.floats(0, 1e4))
def test_rate(per_s: list[float], bin_s: float, allowed: float) -> None:
    root = drawn(plot_rate(Rate(bin_s, per_s, allowed)))
    assert len(root.findall(f"{SVG}rect")) == len(per_s)


@given(st.lists(st.floats(0, 600, width=32), min_size=1, max_size=50))
def test_latency(latencies_s: list[float]) -> None:
    assert len(drawn(plot_latency(np.array(latencies_s, np.float32))).findall(f"{SVG}rect")) == 40


@given(st.lists(st.tuples(st.sampled_from(["passport", "military_id_card_front", "<&>"]), COUNTS), min_size=1))
def test_documents(rows: list[tuple[str, int]]) -> None:
    """Each type with its count beside the bar."""
    rows = [(name, count + 1) for name, count in rows]
    words = [one.text for one in drawn(plot_documents(rows)).findall(f"{SVG}text")]
    assert words == [word for name, count in rows for word in (name, f"{count:,}")]


@given(st.lists(st.lists(st.floats(0, 1), min_size=5, max_size=5).map(sorted), min_size=1, max_size=30))
def test_confidences(quantiles: list[list[float]]) -> None:
    fields = [FieldConfidence(f"field_{at}", tuple(one), 0.1) for at, one in enumerate(quantiles)]
    assert len(drawn(plot_confidences("passport", fields)).findall(f"{SVG}circle")) == len(fields)


@given(st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=30))
def test_trend(counts: list[tuple[int, int]]) -> None:
    trend = [
        {"run_id": f"2026{at:04}T", "requests": {"succeeded": good, "dead_lettered": bad}}
        for at, (good, bad) in enumerate(counts)
    ]
    drawn(plot_trend(trend))


@given(st.floats(0, 1e6), st.floats(0.001, 1e6))
def test_ticks_are_few_and_within(low: float, length: float) -> None:
    scale = Scale(low, low + length, 0, 100)
    for whole in (False, True):
        ticks = scale.ticks(whole=whole)
        assert len(ticks) <= 6
        assert all(scale.low - 1e-6 * length <= one <= scale.high + 1e-6 * length for one in ticks)
        assert not whole or all(math.isclose(one, round(one)) for one in ticks)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (0.5, 1, [0.5, 0.6, 0.7, 0.8, 0.9, 1])],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert Scale(low, high, 0, 100).ticks() == pytest.approx(ticks)
