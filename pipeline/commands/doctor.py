"""`doctor`: finds what is wrong with a set-up before a run meets it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from apache_beam.options.pipeline_options import PipelineOptions

from cardbeam.config.settings import (
    EndpointSettings,
    InputSettings,
    OutputSettings,
    RateSettings,
    Settings,
    WatchSettings,
)
from cardbeam.storage.environment import RETRY_S_VARIABLE
from cardbeam.storage.folder import Folder
from pipeline.cli.exit_codes import EXIT_COMPLETE
from pipeline.cli.options import parse, refuse_overlap
from pipeline.launch.checks.check_endpoint import check_clock, check_credentials, check_endpoint
from pipeline.launch.checks.check_runner import check_runner, check_topic
from pipeline.launch.checks.check_setup import (
    FAILED,
    WARNING,
    Finding,
    check_disk,
    check_extras,
    check_held,
    check_images,
    check_store,
    running,
)
from transforms.beam_files import use_beam_files

_RETRY_S = "10"
"""An unavailable store is reported within seconds, not after the minutes that a run waits."""


def main(arguments: Sequence[str]) -> int:
    """Check the set-up of a backfill or watch with the same options: credentials and endpoint (by one call, which may
    be billed), inputs, rights in the output, disk, clock, Kafka and runner. Says what to do; exit 0 if a run can
    begin, else the status with which it would end."""
    use_beam_files()
    os.environ.setdefault(RETRY_S_VARIABLE, _RETRY_S)
    groups = (InputSettings, EndpointSettings, RateSettings, OutputSettings, WatchSettings)
    (*found, watching), options = parse("doctor", str(main.__doc__), arguments, *groups)
    settings = Settings(*found)
    refuse_overlap(settings)
    findings = []
    for finding in examine(settings, watching, options):
        findings.append(finding)
        print(_line(finding), flush=True)
    faults = [one for one in findings if one.status == FAILED]
    print(f"{len(faults)} of {len(findings)} checks failed" if faults else "No fault found")
    return faults[0].exit_status if faults else EXIT_COMPLETE


def examine(settings: Settings, watching: WatchSettings, options: PipelineOptions) -> Iterator[Finding]:
    """All checks, the cheapest first."""
    yield from check_extras()
    yield from check_disk(settings.output.output)
    yield from check_runner(options)
    yield from check_topic(settings, watching)
    yield from check_images(settings.input)
    folder = settings.output.folder()
    stored = list(check_store(folder))
    yield from stored
    yield from () if any(one.status == FAILED for one in stored) else check_held(folder)
    missing = list(check_credentials(settings))
    yield from missing
    yield from check_clock(settings)
    if not missing:
        yield from _check_endpoint(settings, folder)


def _check_endpoint(settings: Settings, folder: Folder) -> Iterator[Finding]:
    try:
        is_busy = bool(running(folder))
    except (OSError, ValueError):
        is_busy = False
    if is_busy:  # a call of ours would go above the rate limit
        yield Finding("endpoint", WARNING, "not called: a run is in progress", "Run doctor again when it has finished")
    else:
        yield from check_endpoint(settings)


def _line(finding: Finding) -> str:
    text = f"{finding.status:<8} {finding.check}: {finding.message}"
    return f"{text}. {finding.advice}" if finding.advice else text
