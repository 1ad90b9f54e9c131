"""`backfill`: the nightly run."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline import graph
from pipeline.exit import UsageError
from pipeline.launch import launch
from pipeline.options import parse_run
from transforms.find_cards import check_inputs
from transforms.sources import SourceError


def main(arguments: Sequence[str]) -> int:
    """Read every picture that is not answered yet, and leave tables, dead letters and a receipt."""
    settings, options = parse_run("backfill", str(main.__doc__), arguments)
    try:
        check_inputs(settings.input)
    except SourceError as error:
        raise UsageError(str(error)) from error
    return launch("backfill", settings, options, graph.backfill)
