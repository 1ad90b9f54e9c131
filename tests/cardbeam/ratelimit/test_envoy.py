"""An Envoy rate limit service is asked before each request: a real gRPC server that counts and delays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import grpc
import pytest
from apache_beam.io.components import rate_limit_pb2 as wire
from apache_beam.io.components.rate_limiter import EnvoyRateLimiter
from google.protobuf.duration_pb2 import Duration

from cardbeam.config.settings import RateSettings
from cardbeam.ratelimit.envoy import NotAllowed, asker
from cardbeam.ratelimit.throttle import Throttle

RESET_S = 0.2
OK, OVER, UNKNOWN = wire.RateLimitResponse.OK, wire.RateLimitResponse.OVER_LIMIT, wire.RateLimitResponse.UNKNOWN


class _Service:
    """Answers with one code after another, and keeps what it was asked; over the limit is for `RESET_S`."""

    def __init__(self, *codes: int) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._codes = iter(codes)

    def should_rate_limit(self, request: Any, _: grpc.ServicerContext) -> Any:
        entries = {entry.key: entry.value for found in request.descriptors for entry in found.entries}
        self.asked.append((request.domain, entries))
        code = next(self._codes)
        status = wire.RateLimitResponse.DescriptorStatus(
            code=code, duration_until_reset=Duration(nanos=int(RESET_S * 1e9))
        )
        return wire.RateLimitResponse(overall_code=code, statuses=[status])


@contextmanager
def _serving(service: _Service) -> Iterator[str]:
    method = grpc.unary_unary_rpc_method_handler(
        service.should_rate_limit,
        request_deserializer=wire.RateLimitRequest.FromString,
        response_serializer=wire.RateLimitResponse.SerializeToString,
    )
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers(
        [
            grpc.method_handlers_generic_handler(
                "envoy.service.ratelimit.v3.RateLimitService", {"ShouldRateLimit": method}
            )
        ]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}/cards/account=me,call=card"
    finally:
        server.stop(None)


def test_each_permission_is_asked_for_and_what_is_over_the_limit_waits() -> None:
    """Four threads get their permissions by six questions: what is over the limit waits, and is asked again."""
    service = _Service(OK, OVER, OVER, OK, OK, OK)
    with _serving(service) as address, ThreadPoolExecutor(4) as threads:
        throttle = Throttle(0, ask=asker(address, partial(EnvoyRateLimiter, namespace="test")))
        started_s = time.monotonic()
        waits = list(threads.map(lambda _: throttle.wait(), range(4)))
        took_s = time.monotonic() - started_s
    assert service.asked == [("cards", {"account": "me", "call": "card"})] * 6
    assert 2 * RESET_S <= sum(wait.at_head_s for wait in waits) <= took_s


def test_an_answer_that_is_neither_yes_nor_no_allows_nothing() -> None:
    with _serving(_Service(UNKNOWN)) as address, pytest.raises(NotAllowed):
        Throttle(0, ask=asker(address, partial(EnvoyRateLimiter, namespace="test"))).wait()


@pytest.mark.parametrize("text", ["host/domain/key=value", "host:1/domain", "host:1/domain/key", "host:1/d/k=v,"])
def test_what_is_no_service_is_a_problem_before_the_run(text: str) -> None:
    (problem,) = RateSettings(rate_uri=text).validate()
    expected = "expected HOST:PORT/DOMAIN/KEY=VALUE, or a folder: an absolute path or a URI of a bucket"
    assert problem == f"--rate_uri is {text!r}, {expected}"
