"""One request -> its last attempt: bounded in attempts and in time, full jitter.

`Retry-After` moves a wait, never below the floor (an endpoint that says 0 must not burn
the attempts) and never above the ceiling.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from schemas.outcomes import Action
from transforms.card_client import Attempt

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


def send_until_settled(
    send: Callable[[], Attempt],
    policy: RetryPolicy,
    *,
    jitter: Callable[[], float],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Attempt, int]:
    """Send, and again while the outcome says so: the last attempt, and how many were sent."""
    attempt, number = send(), 1
    first_back_s = clock()
    while attempt.outcome.action is Action.RETRY:
        most = min(policy.max_attempts, attempt.outcome.max_attempts or policy.max_attempts)
        wait_s = next_wait_s(number, attempt.retry_after_s, jitter())
        if number >= most or clock() - first_back_s + wait_s > policy.max_elapsed_s:
            break
        sleep(wait_s)
        attempt, number = send(), number + 1
    return attempt, number
