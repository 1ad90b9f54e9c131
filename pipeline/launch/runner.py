"""The runner that the options name, with what a job of any length needs of it.

Beam gives `--job_server_timeout`, 300 s by default, to two streams of a job server as the deadline of their whole
life: the job's states and its messages. A job that runs longer would seem to fail, on each runner that has the streams
before the job starts, as Prism does (Flink does not). Here they are opened without one; the first state, and the
answer to every other request, must come within the time as before.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions, StandardOptions
from apache_beam.portability.api import beam_job_api_pb2_grpc
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.runner import PipelineRunner, create_runner

from pipeline.launch.engines.job_server import own_job_server
from pipeline.launch.engines.loopback_pool import keep_workers_on_loopback


@contextmanager
def opened_runner(options: PipelineOptions) -> Iterator[PipelineRunner | None]:
    """The runner for jobs of the block; None where the options name none. A job server of its own, such as Prism, runs
    for as long as the block does.

    Raises:
        JobServerFailed: it does not start.
        JobServerExposed: other machines could reach it.
    """
    name = options.view_as(StandardOptions).runner
    if not name:
        yield None
        return
    runner = create_runner(name)
    if isinstance(runner, PortableRunner):
        without_deadline(runner)
        keep_workers_on_loopback(runner)
    portable = options.view_as(PortableOptions)
    with own_job_server(runner, options) as endpoint:
        given, portable.job_endpoint = portable.job_endpoint, endpoint or portable.job_endpoint
        try:
            yield runner
        finally:
            portable.job_endpoint = given


def without_deadline(runner: PortableRunner) -> None:
    """Have the runner read the states and messages of its jobs for as long as they run."""
    create = runner.create_job_service_handle

    def create_job_service_handle(job_service: Any, options: PipelineOptions) -> Any:
        is_remote = isinstance(job_service, beam_job_api_pb2_grpc.JobServiceStub)
        return create(_OpenStreams(job_service) if is_remote else job_service, options)

    runner.create_job_service_handle = create_job_service_handle


class _OpenStreams:
    """A job server whose streams have no deadline. Each is opened once: Beam's Java job servers tell no further
    listener of a state once one before it is gone."""

    def __init__(self, job_service: Any) -> None:
        self._job_service = job_service

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job_service, name)

    def GetMessageStream(self, request: Any, timeout: float | None = None) -> Any:  # Beam's name
        """What the job prints; nobody waits for it."""
        del timeout
        return self._job_service.GetMessageStream(request)

    def GetStateStream(self, request: Any, timeout: float | None = None) -> Iterator[Any]:
        """The job's states; the present one comes at once, so it has the deadline."""
        stream = self._job_service.GetStateStream(request)
        return stream if timeout is None else _starting_within(stream, timeout)


def _starting_within(stream: Any, seconds: float) -> Iterator[Any]:
    timer = threading.Timer(seconds, stream.cancel)
    timer.daemon = True
    timer.start()
    try:
        for element in stream:
            timer.cancel()
            yield element
    finally:
        timer.cancel()
