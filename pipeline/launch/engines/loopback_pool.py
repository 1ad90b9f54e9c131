"""Workers in the launching process (`--environment_type=LOOPBACK`, Prism's default), reached by the loopback
interface alone.

Beam's pool listens on all interfaces, and whoever reaches it can have it connect to a runner of their own and run
what that one sends, in the process that holds the credentials.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import grpc
from apache_beam.options.pipeline_options import DebugOptions, PipelineOptions, PortableOptions
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_fn_api_pb2_grpc
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.worker import sdk_worker_main
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from apache_beam.transforms import environments
from apache_beam.utils import thread_pool_executor

_LOOPBACK = "127.0.0.1"
_STOPS_WITHIN_S = 1.0
_NO_PING_LIMITS = (("grpc.http2.max_pings_without_data", 0), ("grpc.http2.max_ping_strikes", 0))


def keep_workers_on_loopback(runner: PortableRunner) -> None:
    """Have the runner start workers of this process, where its options ask for them, in a pool as above."""
    runner.start_and_replace_loopback_environments = _replace_loopback_environments


def start_pool(options: PipelineOptions) -> tuple[str, grpc.Server]:
    """A pool that starts workers as threads of this process; its address, and what stops it."""
    debug = options.view_as(DebugOptions)
    pool = BeamFnExternalWorkerPoolServicer(
        use_process=bool(debug.lookup_experiment("use_loopback_process_worker", False)),
        state_cache_size=sdk_worker_main._get_state_cache_size_bytes(options=options),
        data_buffer_time_limit_ms=sdk_worker_main._get_data_buffer_time_limit_ms(debug.experiments or []),
    )
    server = grpc.server(thread_pool_executor.shared_unbounded_instance(), options=_NO_PING_LIMITS)
    port = server.add_insecure_port(f"{_LOOPBACK}:0")
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    server.start()
    return f"{_LOOPBACK}:{port}", server


def _replace_loopback_environments(pipeline: Any, options: PipelineOptions) -> list[Callable[[], object]]:
    """As Beam's method of the name: have each environment of the kind point to a pool. Gives what stops the pools."""
    stops: list[Callable[[], object]] = []
    for environment in pipeline.components.environments.values():
        if environment.urn != python_urns.EMBEDDED_PYTHON_LOOPBACK:
            continue
        portable = copy.deepcopy(options.view_as(PortableOptions))
        portable.environment_type = "EXTERNAL"
        portable.environment_config, server = start_pool(options)
        external = environments.ExternalEnvironment.from_options(portable).to_runner_api(None)
        environment.urn, environment.payload = external.urn, external.payload
        stops.append(functools.partial(server.stop, _STOPS_WITHIN_S))
    return stops
