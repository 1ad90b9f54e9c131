"""Response headers -> for how long nothing more may be sent, as the endpoint says that its quota is used up.

Both forms of https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ are read: `RateLimit: "a";r=0;t=30`
and the older `RateLimit-Remaining: 0` with `RateLimit-Reset: 30`; and `X-RateLimit-…`, whose reset is either in seconds
from now or a time since 1970.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

_PREFIXES = ("ratelimit-", "x-ratelimit-", "x-rate-limit-")
_PARAMETER = re.compile(r";\s*([rt])=(\d{1,15})(?=\s*(?:;|$))")
_EPOCH_FROM_S = 1_000_000_000
"""A reset beyond it is a time: no quota is renewed in thirty years."""
MAX_HOLD_S = 3600.0
"""A longer hold is not believed: it would look like a run that hangs."""


def hold_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Seconds until the quota is renewed, if it is used up; None if it is not, or if nothing valid is said.

    Names of headers are in lower case.
    """
    waits = [wait for remaining, wait in _limits(headers, now_s) if remaining <= 0 < wait]
    return min(max(waits), MAX_HOLD_S) if waits else None


def _limits(headers: Mapping[str, str], now_s: float) -> Iterator[tuple[float, float]]:
    """What is left, and the seconds until it is renewed, of each limit that is told."""
    for item in headers.get("ratelimit", "").split(","):
        parameters = dict(_PARAMETER.findall(item))
        if len(parameters) == 2:
            yield float(parameters["r"]), float(parameters["t"])
    for prefix in _PREFIXES:
        remaining, reset = (_number(headers.get(f"{prefix}{name}", "")) for name in ("remaining", "reset"))
        if remaining is not None and reset is not None:
            yield remaining, reset - now_s if reset >= _EPOCH_FROM_S else reset


def _number(text: str) -> float | None:
    """The number a header begins with: some repeat the policy behind it."""
    try:
        number = float(re.split("[,;]", text, maxsplit=1)[0])
    except ValueError:
        return None
    return number if math.isfinite(number) else None
