"""Which runner is meant, and whether its options can serve a run: found before anything begins."""

from __future__ import annotations

from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    PipelineOptions,
    PortableOptions,
    SparkRunnerOptions,
    StandardOptions,
)
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners.runner import create_runner

from cardbeam.storage.uris import local_path
from pipeline.cli.exit_codes import UsageError

_SUFFIX = "runner"
_FLINK_HERE = ("[local]", "[auto]")
_DATAFLOW = "DataflowRunner"


def runner_name(asked: str) -> str:
    """The name of a runner from any spelling that Beam takes; a class of another package as it is.

    Raises:
        UsageError: Beam knows none of this name.
    """
    known = {name.lower(): name for name in StandardOptions.KNOWN_RUNNER_NAMES}
    paths = {path.lower(): path.rpartition(".")[2] for path in StandardOptions.ALL_KNOWN_RUNNERS}
    spelled = asked.strip().lower()
    found = known.get(spelled) or known.get(f"{spelled}{_SUFFIX}") or paths.get(spelled)
    if found is None and "." not in asked:
        raise UsageError(f"--runner {asked} is unknown: expected one of {', '.join(sorted(known.values()))}")
    return found or asked


def check_runner(options: PipelineOptions, output: str) -> None:
    """Name the runner as Beam does, and see whether it has the options that it needs.

    Raises:
        UsageError: it is unknown or not installed, an option is missing or wrong, or its workers cannot reach a local
            output.
    """
    standard = options.view_as(StandardOptions)
    standard.runner = name = runner_name(standard.runner or "")
    try:
        errors = PipelineOptionsValidator(options, create_runner(name)).validate()
    except (ImportError, AttributeError) as error:
        raise UsageError(f"--runner {name} cannot be used: {error}") from None
    if errors:
        raise UsageError(f"--runner {name}: {'; '.join(map(str, errors))}")
    if output and local_path(output) is not None and _are_workers_elsewhere(name, options):
        raise UsageError(
            f"--output {output} is on this machine, and the workers of {name} run elsewhere: give a bucket, or with "
            "a disk that all machines have mounted --environment_type=PROCESS or EXTERNAL"
        )


def _are_workers_elsewhere(name: str, options: PipelineOptions) -> bool:
    """Whether workers run on other machines or in containers, which have disks of their own."""
    if name == _DATAFLOW:
        return True
    if where := options.view_as(PortableOptions).environment_type:
        return bool(where.upper() == "DOCKER")
    if name == "FlinkRunner":
        return options.view_as(FlinkRunnerOptions).flink_master.strip() not in _FLINK_HERE
    if name == "SparkRunner":
        return not options.view_as(SparkRunnerOptions).spark_master_url.startswith("local")
    return name == "PortableRunner"
