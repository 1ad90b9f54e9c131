"""Evaluation -> a page with its tables and plots; it shows shares, counts and names of fields alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jinja2
import matplotlib as mpl

from pipeline.evaluation.evaluate import Evaluation
from pipeline.evaluation.figure import STYLE, drawn, svg
from pipeline.evaluation.scoring import Bin, FieldScore, Result, by_key, readings, reliability
from pipeline.report.chart import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from pipeline.evaluation.tables import Table

_SHADES = {Result.EXACT: BLUE, Result.PARTLY: "#56B4E9", Result.WRONG: ORANGE, Result.MISSING: "#BBBBBB"}
_HATCHES = {Result.WRONG: "///", Result.MISSING: "..."}


def page(truth: str, found: Evaluation, tables: Sequence[Table]) -> str:
    """The page, whole: no script, nothing to be fetched."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    bins = reliability(readings(found.scores))
    plots = [("Fields by result", plot_results(found.scores))] if found.scores else []
    plots += [("Calibration", plot_reliability(bins))] if bins else []
    plots += [("Precision by confidence accepted", plot_precision(found.scores))] if bins else []
    return environment.get_template("evaluation.html").render(truth=truth, tables=tables, plots=plots)


@mpl.rc_context(STYLE)
def plot_results(scores: Sequence[FieldScore]) -> str:
    """For each field the shares of its results, the worst field first."""
    fields = by_key(scores, lambda one: one.field)
    parts = {name: [_part(held, result) for result in Result] for name, held in fields.items()}
    names = sorted(parts, key=lambda name: parts[name][0])
    figure, axes = drawn(1.0 + 0.22 * len(names))
    left = [0.0] * len(names)
    for number, result in enumerate(Result):
        wide = [parts[name][number] for name in names]
        axes.barh(names, wide, left=left, color=_SHADES[result], hatch=_HATCHES.get(result), edgecolor="white",
                  linewidth=0, label=result.value)  # fmt: skip
        left = [one + more for one, more in zip(left, wide, strict=True)]
    axes.invert_yaxis()
    axes.margins(y=0.5 / len(names))
    axes.set(xlabel="% of values", xlim=(0, 100))
    figure.legend(loc="outside upper center", ncols=4, frameon=False, columnspacing=1.2, handlelength=1.6)
    return svg(figure, "results")


def _part(scores: Sequence[FieldScore], result: Result) -> float:
    return 100 * sum(one.result is result for one in scores) / len(scores)


@mpl.rc_context(STYLE)
def plot_reliability(bins: Sequence[Bin]) -> str:
    """Share right over confidence; on the dashed line confidences are honest. Large dots hold more values."""
    figure, axes = drawn(3.0)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    most = max(one.n for one in bins)
    stated, right = [one.stated for one in bins], [one.right for one in bins]
    axes.plot(stated, right, color=BLUE, linewidth=1)
    axes.scatter(stated, right, [20 + 120 * one.n / most for one in bins], color=BLUE, zorder=3)
    axes.set(xlabel="mean confidence", ylabel="share right", xlim=(0, 1.05), ylim=(-0.05, 1.05))
    return svg(figure, "reliability")


@mpl.rc_context(STYLE)
def plot_precision(scores: Sequence[FieldScore]) -> str:
    """What is right, and what is kept, of values with a confidence from some threshold on."""
    ordered = sorted(readings(scores), reverse=True)
    right = 0
    precision: list[float] = []
    for at, (_, is_right) in enumerate(ordered, start=1):
        right += is_right
        precision.append(right / at)
    figure, axes = drawn(2.4)
    lines = [confidence for confidence, _ in ordered]
    axes.step(lines, precision, where="post", color=BLUE, label="precision")
    kept = [number / len(ordered) for number in range(1, len(ordered) + 1)]
    axes.step(lines, kept, where="post", color=ORANGE, linestyle="--", label="share accepted")
    axes.set(xlabel="lowest confidence that is accepted", ylim=(0, 1.05))
    axes.legend(loc="lower left", frameon=False)
    return svg(figure, "precision")
