"""`replay`: dead letters of past runs once more."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline import graph
from pipeline.exit import UsageError
from pipeline.launch import launch
from pipeline.options import parse
from pipeline.runs import runs_with_answers
from transforms.settings import (
    EndpointSettings,
    InputSettings,
    OutputSettings,
    RateSettings,
    ReplaySettings,
    Settings,
)
from transforms.storage import open_folder


def main(arguments: Sequence[str]) -> int:
    """Send the dead letters of past runs once more, each once, in one pass; what was answered since is left out."""
    concerns = (ReplaySettings, EndpointSettings, RateSettings, OutputSettings)
    (chosen, endpoint, rate, output), options = parse("replay", str(main.__doc__), arguments, *concerns)
    _check_runs(output.output, chosen.run_id)
    settings = Settings(InputSettings(), endpoint, rate, output, chosen)
    return launch("replay", settings, options, graph.replay)


def _check_runs(output: str, asked: Sequence[str]) -> None:
    known = runs_with_answers(open_folder(output))
    if not known:
        raise UsageError(f"there is no run in --output {output} yet: begin one with backfill or watch")
    if unknown := [run_id for run_id in asked if run_id not in known]:
        raise UsageError(f"--run_id {unknown[0]} is no run in --output {output}; there are {', '.join(known)}")
