"""A runner that cannot serve is refused before anything begins."""

from __future__ import annotations

import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from pipeline.cli.exit_codes import UsageError
from pipeline.cli.runner_options import check_runner, runner_name

_POOL = "--environment_options=external_service_address=localhost:50000"


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("flink", "FlinkRunner"),
        ("FLINKRUNNER", "FlinkRunner"),
        ("prism", "PrismRunner"),
        ("apache_beam.runners.portability.fn_api_runner.FnApiRunner", "FnApiRunner"),
        ("my.company.Runner", "my.company.Runner"),
    ],
)
def test_any_spelling_is_known(asked: str, name: str) -> None:
    """As Beam takes them: in any case, without its end, by its path."""
    assert runner_name(asked) == name


@pytest.mark.parametrize(
    ("arguments", "output", "message"),
    [
        (["--runner=Flimk"], "out", "--runner Flimk is unknown: expected one of"),
        (["--runner=no.such.Runner"], "out", "--runner no.such.Runner cannot be used"),
        (["--runner=dataflow"], "gs://b/o", "--runner DataflowRunner"),
        (["--runner=flink", "--flink_master=jobs:8081"], "out", "the workers of FlinkRunner run elsewhere"),
        (["--runner=portable", "--environment_type=DOCKER"], "/out", "the workers of PortableRunner run elsewhere"),
    ],
)
def test_what_cannot_run_is_refused(arguments: list[str], output: str, message: str) -> None:
    """An unknown runner, a missing option, or a local output that its workers cannot write to."""
    with pytest.raises(UsageError, match=message):
        check_runner(PipelineOptions(arguments), output)


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["--runner=FnApiRunner"], "out"),
        (["--runner=flink", "--flink_master=[local]"], "out"),
        (
            [
                "--runner=flink",
                "--flink_master=jobs:8081",
                "--environment_type=EXTERNAL",
                _POOL,
            ],
            "/mounted/out",
        ),
        (["--runner=flink", "--flink_master=jobs:8081"], "s3://b/o"),
        (["--runner=prism"], "out"),
    ],
)
def test_what_can_run_is_taken(arguments: list[str], output: str) -> None:
    """Workers on this machine, a mounted disk, a bucket."""
    options = PipelineOptions(arguments)
    check_runner(options, output)
    assert options.view_as(StandardOptions).runner in ("FnApiRunner", "FlinkRunner", "PrismRunner")
