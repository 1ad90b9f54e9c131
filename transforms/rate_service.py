"""An Envoy rate limit service for those who have one: it is asked before each request.

Beam's own client does the asking. It sleeps until the service's window begins anew where the
quota is used up, and fails after some retries where the service cannot be reached.
"""

from __future__ import annotations

from collections.abc import Callable

from apache_beam.io.components.rate_limiter import EnvoyRateLimiter

from transforms.settings import SERVICE


class NotAllowed(RuntimeError):
    """The service gave no answer that allows or delays a request."""


def asker(service: str) -> Callable[[], None]:
    """A function that returns when the service at HOST:PORT/DOMAIN/KEY=VALUE[,KEY=VALUE] allows one request.

    It raises grpc.RpcError where the service cannot be reached, NotAllowed where it answers neither yes nor no.
    """
    found = SERVICE.fullmatch(service)
    if found is None:
        raise ValueError(f"{service!r} is no HOST:PORT/DOMAIN/KEY=VALUE")
    entries = dict(entry.split("=") for entry in found["entries"].split(","))
    limiter = EnvoyRateLimiter(found["address"], found["domain"], [entries], namespace="cardbeam")

    def ask() -> None:
        if not limiter.allow():
            raise NotAllowed(f"the rate limit service at {found['address']} gave an unknown answer")

    return ask
