"""One request -> its last attempt: bounded in attempts and in time, full jitter.

`Retry-After` moves a wait, never below the floor (an endpoint that says 0 must not burn
the attempts) and never above the ceiling.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from cardbeam.http.response import CallResult
from schemas.outcomes import Action

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
_FLOOR_S = 0.25


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long one request may take: sends at the most, and seconds after the first in which a new one may start."""

    max_attempts: int
    max_elapsed_s: float


def next_wait_s(attempt_number: int, retry_after_s: float | None, jitter: float) -> float:
    """Seconds to wait after the nth attempt (from 1), jitter in 0 to 1."""
    ceiling_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (attempt_number - 1))
    wait_s = max(_FLOOR_S, jitter * ceiling_s)
    if retry_after_s is not None:
        wait_s = max(wait_s, min(retry_after_s, LONGEST_WAIT_S))
    return wait_s


def send_with_retries(
    send: Callable[[], CallResult],
    policy: RetryPolicy,
    *,
    jitter: Callable[[], float],
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    may_retry: Callable[[], bool] = lambda: True,
) -> CallResult:
    """Send, and retry while the outcome says so, within the policy: the last attempt.

    An outcome with a bound of its own counts its own attempts alone. One that did not come as often as its bound
    allows is retriable: a later run has the attempts that are left.
    """
    seen: Counter[str] = Counter()
    result = send()
    first_back_s = clock()
    while result.outcome.action is Action.RETRY:
        seen[result.outcome.code] += 1
        bound = min(policy.max_attempts, result.outcome.max_attempts or policy.max_attempts)
        is_final = seen[result.outcome.code] >= bound
        wait_s = next_wait_s(seen.total(), result.retry_after_s, jitter())
        is_late = clock() - first_back_s + wait_s > policy.max_elapsed_s
        if is_final or seen.total() >= policy.max_attempts or is_late or not may_retry():
            return result if is_final else replace(result, outcome=replace(result.outcome, retriable=True))
        sleep(wait_s)
        result = send()
    return result
