"""An Envoy rate limit service is asked before each request: a real gRPC server that counts and delays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from apache_beam.io.components import rate_limit_pb2 as wire
from google.protobuf.duration_pb2 import Duration

from transforms.rate_service import NotAllowed, asker
from transforms.settings import RateSettings
from transforms.throttle import Throttle

RESET_S = 0.3


class _Service:
    """Allows `most` requests for each window of `RESET_S`, and keeps what it was asked."""

    def __init__(self, most: int, code: int | None = None) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._most, self._code, self._window, self._count = most, code, -1, 0

    def should_rate_limit(self, request: Any, _: grpc.ServicerContext) -> Any:
        entries = {entry.key: entry.value for found in request.descriptors for entry in found.entries}
        self.asked.append((request.domain, entries))
        response = wire.RateLimitResponse
        if self._code is not None:
            return response(overall_code=self._code)
        window, into_s = divmod(time.monotonic(), RESET_S)
        self._count = 1 if window != self._window else self._count + 1
        self._window = int(window)
        if self._count <= self._most:
            return response(overall_code=response.OK)
        status = response.DescriptorStatus(
            code=response.OVER_LIMIT, duration_until_reset=Duration(nanos=int((RESET_S - into_s) * 1e9) + 1)
        )
        return response(overall_code=response.OVER_LIMIT, statuses=[status])


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
    service = _Service(most=3)
    with _serving(service) as address:
        throttle = Throttle(0, ask=asker(address))
        started_s = time.monotonic()
        with ThreadPoolExecutor(8) as threads:
            waits = list(threads.map(lambda _: throttle.wait(), range(10)))
        took_s = time.monotonic() - started_s
    assert set(service.asked[0][1].items()) == {("account", "me"), ("call", "card")}
    assert {domain for domain, _ in service.asked} == {"cards"}
    assert 2 * RESET_S < took_s < 6 * RESET_S
    assert sum(wait.at_head_s for wait in waits) <= took_s


def test_an_answer_that_is_neither_yes_nor_no_allows_nothing() -> None:
    with _serving(_Service(0, wire.RateLimitResponse.UNKNOWN)) as address, pytest.raises(NotAllowed):
        Throttle(0, ask=asker(address)).wait()


@pytest.mark.parametrize("said", ["host/domain/key=value", "host:1/domain", "host:1/domain/key", "host:1/d/k=v,"])
def test_what_is_no_service_is_a_problem_before_the_run(said: str) -> None:
    (problem,) = RateSettings(rate_limit_service=said).problems()
    assert problem == f"--rate_limit_service is {said!r}, expected HOST:PORT/DOMAIN/KEY=VALUE"
