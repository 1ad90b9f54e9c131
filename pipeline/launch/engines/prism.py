"""Which program is Prism, Beam's local runner."""

from __future__ import annotations

import os
import shutil
import sys

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, PrismRunnerOptions
from apache_beam.runners.portability.prism_runner import PrismJobServer

from pipeline.cli.exit_codes import UsageError

PRISM = "PrismRunner"
BUILT = f"prism-{beam.__version__}"
"""What run.sh builds: it listens on the loopback interface alone."""


def find_prism(options: PipelineOptions) -> None:
    """Set `--prism_location` to a program on this machine: as given, built by run.sh, on the PATH, or downloaded.

    Raises:
        UsageError: there is none, and it cannot be downloaded.
    """
    prism = options.view_as(PrismRunnerOptions)
    if prism.prism_log_level == "info":  # its default: a line for each of its own steps
        prism.prism_log_level = "error"
    path = f"{sys.prefix}/bin:{os.environ['PATH']}"
    prism.prism_location = prism.prism_location or shutil.which(BUILT, path=path) or shutil.which("prism", path=path)
    try:
        prism.prism_location = PrismJobServer.local_bin(
            PrismJobServer(options).path_to_binary(), PrismJobServer.BIN_CACHE
        )
    except Exception as error:  # Beam raises several kinds
        raise UsageError(
            f"{PRISM} needs the program prism, and it cannot be downloaded: install Go and run "
            "`python -m pipeline.launch.engines.build_prism FILE`, then pass --prism_location=FILE"
        ) from error
