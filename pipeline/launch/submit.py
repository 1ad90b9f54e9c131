"""Hands a graph over without waiting for its end: a job on a cluster, a template, or a request that is not sent."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    StandardOptions,
    TestOptions,
)
from apache_beam.runners.runner import PipelineState

from cardbeam.errors import CardbeamError
from pipeline.cli.exit_codes import UsageError
from transforms.call_endpoint import is_one_process

_ACCEPTED_WITHIN_S = 300.0
_POLL_S = 0.5
_LOCAL_MASTERS = ("", "[auto]", "[local]")
_NOT_YET = frozenset({PipelineState.UNKNOWN, PipelineState.STARTING, PipelineState.STOPPED, PipelineState.PENDING})
_FAILED = frozenset({PipelineState.FAILED, PipelineState.CANCELLED})


class NotAccepted(CardbeamError):
    """The runner did not take the job."""


def runner_name(options: PipelineOptions) -> str:
    """The runner, as the user names it."""
    return (options.view_as(StandardOptions).runner or "").rpartition(".")[2]


def refuse_local(options: PipelineOptions) -> None:
    """See whether a job with these options goes on once this process has ended.

    Raises:
        UsageError: it ends with this process, so somebody must wait for it.
    """
    name, portable = runner_name(options), options.view_as(PortableOptions)
    master = options.get_all_options().get("flink_master") or ""
    is_cluster = name == "DataflowRunner" or bool(portable.job_endpoint)
    is_cluster = is_cluster or (name == "FlinkRunner" and master not in _LOCAL_MASTERS)
    if is_one_process(options) or not is_cluster:
        raise UsageError(
            f"--no_wait does not work with {name}: its job ends with this process. Use DataflowRunner, FlinkRunner "
            "with --flink_master, or --job_endpoint, with workers outside this process"
        )


def is_request_only(options: PipelineOptions) -> bool:
    """Whether the options ask for a template, or for a job request that is not sent."""
    return bool(_template(options) or options.view_as(TestOptions).dry_run)


def build_request(pipeline: beam.Pipeline, options: PipelineOptions) -> str:
    """Have the runner make the template or the request; what was made, in words."""
    if runner_name(options) == "DataflowRunner":
        pipeline.run()
    else:
        pipeline.to_runner_api()
    template = _template(options)
    return f"template written to {template}" if template else "dry run: the job request builds; nothing was sent"


def _template(options: PipelineOptions) -> str:
    return str(options.view_as(GoogleCloudOptions).template_location or "")


def accepted_job(
    result: Any, sleep: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic
) -> str:
    """The id of a job, once its runner has taken it: before that a job server of ours must not end.

    Raises:
        NotAccepted: it failed at once, or was not taken in time.
    """
    job_id = result.job_id() if callable(getattr(result, "job_id", None)) else getattr(result, "_job_id", "")
    until_s = clock() + _ACCEPTED_WITHIN_S
    while (state := result.state) in _NOT_YET:
        if clock() > until_s:
            raise NotAccepted(f"job {job_id} is {state} after {_ACCEPTED_WITHIN_S:.0f} s. See the runner's log")
        sleep(_POLL_S)
    if state in _FAILED:
        raise NotAccepted(f"job {job_id} is {state}. See the runner's log")
    return str(job_id)
