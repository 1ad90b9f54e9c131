"""`replay`: dead letters of past runs once more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline import graph
from pipeline.launch import launch
from pipeline.options import parse
from transforms.settings import (
    EndpointSettings,
    InputSettings,
    OutputSettings,
    RateSettings,
    ReplaySettings,
    Settings,
)


def main(arguments: Sequence[str]) -> int:
    """Send the dead letters of past runs once more, each once, in one pass; what was answered since is left out."""
    concerns = (ReplaySettings, EndpointSettings, RateSettings, OutputSettings)
    (chosen, endpoint, rate, output), options = parse("replay", str(main.__doc__), arguments, *concerns)
    settings = Settings(InputSettings(), endpoint, rate, replace(output, run_id=""), chosen)
    return launch("replay", settings, options, graph.replay)
