"""A job may run longer than a job server may take to answer; a job server that does not answer is not waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import apache_beam as beam
import grpc
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_job_api_pb2 as api
from apache_beam.portability.api import beam_job_api_pb2_grpc as services
from apache_beam.runners.runner import PipelineState

from pipeline.launch.runner import opened_runner

TIMEOUT_S = 1
RUNS_FOR_S = 1.6


class JobServer(services.JobServiceServicer):
    """Runs a job of a given length by waiting. `shows_before_run`: it has the job's streams before the job starts, as
    Prism does, and Flink's does not."""

    def __init__(self, *, shows_before_run: bool) -> None:
        self._shows_before_run, self._is_running = shows_before_run, threading.Event()
        self.streams = 0

    def DescribePipelineOptions(self, request, context):
        return api.DescribePipelineOptionsResponse()

    def Prepare(self, request, context):
        return api.PrepareJobResponse(preparation_id="job")

    def Run(self, request, context):
        self._is_running.set()
        return api.RunJobResponse(job_id="job")

    def GetStateStream(self, request, context):
        if not self._is_running.is_set() and not self._shows_before_run:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such job")
        self.streams += 1
        yield api.JobStateEvent(state=api.JobState.STARTING)
        self._is_running.wait()
        time.sleep(RUNS_FOR_S)
        yield api.JobStateEvent(state=api.JobState.DONE)

    def GetMessageStream(self, request, context):
        for text in ("begins", "ends"):
            yield api.JobMessagesResponse(message_response=api.JobMessage(message_text=text))
            time.sleep(RUNS_FOR_S)


@contextmanager
def serving(server: JobServer) -> Iterator[str]:
    grpc_server = grpc.server(ThreadPoolExecutor(8))
    services.add_JobServiceServicer_to_server(server, grpc_server)
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    grpc_server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        grpc_server.stop(None)


def options_for(endpoint: str) -> PipelineOptions:
    return PipelineOptions(
        [
            "--runner=PortableRunner",
            f"--job_endpoint={endpoint}",
            f"--job_server_timeout={TIMEOUT_S}",
            "--environment_type=EXTERNAL",
            "--environment_config=127.0.0.1:1",
        ]
    )


def run(options: PipelineOptions) -> object:
    with opened_runner(options) as runner:
        pipeline = beam.Pipeline(runner=runner, options=options)
        pipeline | beam.Create([1])
        return pipeline.run().wait_until_finish()


@pytest.mark.parametrize("shows_before_run", [True, False])
def test_a_job_outlives_the_timeout_of_its_job_server(shows_before_run: bool, recwarn: pytest.WarningsRecorder) -> None:
    """A job that runs longer than --job_server_timeout ends as done, and no thread that reads of it fails."""
    server = JobServer(shows_before_run=shows_before_run)
    with serving(server) as endpoint:
        state = run(options_for(endpoint))
    failed = [one for one in recwarn if "Thread" in one.category.__name__]
    assert (state, failed, server.streams) == (PipelineState.DONE, [], 1)


def test_a_job_server_that_shows_no_state_is_not_waited_for() -> None:
    """The present state has the deadline; without it the job is started, and its states are asked for again."""

    class Silent(JobServer):
        def GetStateStream(self, request, context):
            if not self._is_running.is_set():
                self._is_running.wait()
                context.abort(grpc.StatusCode.CANCELLED, "too late")
            yield from super().GetStateStream(request, context)

    with serving(Silent(shows_before_run=True)) as endpoint:
        assert run(options_for(endpoint)) == PipelineState.DONE


def test_a_job_server_that_does_not_answer_is_not_waited_for() -> None:
    """Where nothing listens, --job_server_timeout ends the wait."""
    with pytest.raises(grpc.FutureTimeoutError):
        run(options_for("127.0.0.1:1"))


def test_no_runner_is_left_to_beam() -> None:
    """Options without a runner give none: Beam takes its default."""
    with opened_runner(PipelineOptions([])) as runner:
        assert runner is None
