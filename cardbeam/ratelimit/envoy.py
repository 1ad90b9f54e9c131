"""An Envoy rate limit service for those who have one: it is asked before each request.

Beam's own client does the asking. It sleeps until the service's window begins again where the
quota is used up, and fails after some retries where the service cannot be reached.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cardbeam.config.settings import SERVICE
from cardbeam.errors import CardbeamError


class NotAllowed(CardbeamError, RuntimeError):
    """The service gave no answer that allows or delays a request."""


class Limiter(Protocol):
    """A client of one rate limit service, as Beam's `EnvoyRateLimiter`."""

    def allow(self) -> bool:
        """Wait until the service allows one request; False where it answers neither yes nor no."""


OpenLimiter = Callable[[str, str, list[dict[str, str]]], Limiter]
"""Address, domain and descriptors -> a client of the service."""


def asker(service: str, open_limiter: OpenLimiter) -> Callable[[], None]:
    """A function that returns when the service at HOST:PORT/DOMAIN/KEY=VALUE[,KEY=VALUE] allows one request.

    It raises grpc.RpcError where the service cannot be reached, NotAllowed where it answers neither yes nor no.
    """
    found = SERVICE.fullmatch(service)
    if found is None:
        raise ValueError(f"{service!r} is no HOST:PORT/DOMAIN/KEY=VALUE")
    entries = dict(entry.split("=") for entry in found["entries"].split(","))
    limiter = open_limiter(found["address"], found["domain"], [entries])

    def ask() -> None:
        if not limiter.allow():
            raise NotAllowed(f"the rate limit service at {found['address']} gave an unknown answer")

    return ask
