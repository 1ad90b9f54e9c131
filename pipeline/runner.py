"""The runner that the options name, with what a job of any length needs of it.

Beam gives `--job_server_timeout`, 300 s by default, to two streams of a job server as the deadline of their whole
life: the job's states and its messages. A job that runs longer would seem to fail, on each runner that has the streams
before the job starts, as Prism does. They are opened again without one, once the job has started; the deadline of
every single request to the job server stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions, StandardOptions
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.portability.prism_runner import PrismRunner
from apache_beam.runners.runner import PipelineRunner, create_runner

from pipeline.prism import prism_server

Started = tuple[str, Any, Any]
"""The job's id, its messages and its states."""


@contextmanager
def opened_runner(options: PipelineOptions) -> Iterator[PipelineRunner | None]:
    """The runner for jobs of the block; None where the options name none. Prism runs for as long as the block does.

    Raises:
        PrismFailed: Prism does not start.
    """
    name = options.view_as(StandardOptions).runner
    if not name:
        yield None
        return
    runner = create_runner(name)
    if isinstance(runner, PortableRunner):
        without_deadline(runner)
    portable = options.view_as(PortableOptions)
    if not isinstance(runner, PrismRunner) or portable.job_endpoint:
        yield runner
        return
    with prism_server(options) as endpoint:
        portable.job_endpoint = endpoint
        try:
            yield runner
        finally:
            portable.job_endpoint = None


def without_deadline(runner: PortableRunner) -> None:
    """Have the runner read the states and messages of its jobs for as long as they run."""
    create = runner.create_job_service_handle

    def create_job_service_handle(job_service: Any, options: PipelineOptions) -> Any:
        handle = create(job_service, options)
        handle.run = _reopening(handle.run, job_service)
        return handle

    runner.create_job_service_handle = create_job_service_handle


def _reopening(run: Callable[[str], Started], job_service: Any) -> Callable[[str], Started]:
    def run_and_reopen(preparation_id: str) -> Started:
        job_id, *_ = run(preparation_id)
        messages = job_service.GetMessageStream(beam_job_api_pb2.JobMessagesRequest(job_id=job_id))
        return job_id, messages, job_service.GetStateStream(beam_job_api_pb2.GetJobStateRequest(job_id=job_id))

    return run_and_reopen
