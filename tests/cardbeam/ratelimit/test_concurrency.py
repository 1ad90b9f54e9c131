"""What is in flight at once follows the endpoint's latency: enough to fill the rate, and no flood where it lags."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.ratelimit.concurrency import MAX_LIMIT, MIN_LIMIT, WITHOUT_A_RATE, ConcurrencyLimit


def _learned(rate_per_s: float, busy_s: list[float], backoff_factor: float = 1.0) -> int:
    limit = ConcurrencyLimit(lambda: rate_per_s * backoff_factor, lambda: backoff_factor)
    for seconds in busy_s:
        limit.learn(seconds)
    return limit.limit()


@given(st.floats(0.1, 100), st.floats(0.01, 1.5))
def test_with_a_rate_it_is_what_fills_the_rate_and_half_as_much_more(rate_per_s: float, latency_s: float) -> None:
    needed = rate_per_s * latency_s
    assert needed <= _learned(rate_per_s, [latency_s] * 10) <= 1.5 * needed + MIN_LIMIT + 1


def test_it_follows_a_latency_that_grows_and_falls() -> None:
    quick, slow = [0.1] * 200, [0.2] * 200
    assert _learned(100, quick) == pytest.approx(MIN_LIMIT + 15, abs=1)
    assert _learned(100, quick + slow) == pytest.approx(MIN_LIMIT + 30, abs=2)
    assert _learned(100, quick + slow + quick) == pytest.approx(MIN_LIMIT + 15, abs=1)


def test_it_is_bounded_and_shrinks_with_the_pace() -> None:
    assert _learned(10_000, [10.0] * 50) == MAX_LIMIT
    assert _learned(100, [0.4] * 50, backoff_factor=0.5) == pytest.approx(MIN_LIMIT + 30, abs=1)
    assert [_learned(math.inf, [0.4], backoff_factor) for backoff_factor in (1.0, 0.5, 0.001)] == [
        WITHOUT_A_RATE,
        WITHOUT_A_RATE // 2,
        MIN_LIMIT,
    ]


def test_an_endpoint_that_cannot_keep_up_is_not_flooded() -> None:
    """Two at a time, half a second each: with 10 a second asked for, all above two only wait there."""
    limit = ConcurrencyLimit(lambda: 10.0, lambda: 1.0)
    limit.learn(0.5)  # the first request goes ahead alone
    for _ in range(2000):
        limit.learn(0.5 * max(1.0, limit.limit() / 2))
    assert limit.limit() * 0.25 < 30.0  # the timeout
