"""`backfill`: the nightly run."""

from __future__ import annotations

from collections.abc import Sequence

from cardbeam.inputs.listing import check_inputs
from cardbeam.storage.open_uri import SourceError
from pipeline import graph
from pipeline.cli.exit_codes import UsageError
from pipeline.cli.options import parse_run
from pipeline.launch.batch_run import launch
from transforms.beam_files import use_beam_files


def main(arguments: Sequence[str]) -> int:
    """Read every image that is not answered yet, and leave tables, dead letters and a receipt."""
    use_beam_files()
    settings, options = parse_run("backfill", str(main.__doc__), arguments)
    try:
        check_inputs(settings.input)
    except SourceError as error:
        raise UsageError(str(error)) from error
    return launch("backfill", settings, options, graph.backfill)
