"""The quota as a wall, on a clock that the test moves: never above it, and full while there is work."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.ratelimit.throttle import Quota, Throttle, Wait

RATES = st.floats(0.05, 500) | st.integers(1, 500).map(float)
CATCH_UP_S = 0.1


@dataclass
class Clock:
    """Time that passes in sleep, and as much longer as a busy machine makes it."""

    late_s: list[float] = field(default_factory=list)
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now_s += seconds + (self.late_s.pop() if self.late_s else 0.0)


def permissions(throttle: Throttle, clock: Clock, arrivals_s: list[float]) -> list[float]:
    """When each was given, to callers that come so many seconds after the last was served."""
    given_s = []
    for pause_s in arrivals_s:
        clock.now_s += pause_s
        throttle.wait().release()
        given_s.append(clock.now_s)
    return given_s


@given(
    RATES,
    st.lists(st.just(0.0) | st.floats(0, 3), min_size=1, max_size=120),
    st.lists(st.floats(0, 0.02) | st.floats(0, 5), max_size=60),
)
def test_no_window_sees_more_than_the_quota(rate_per_s: float, arrivals_s: list[float], late_s: list[float]) -> None:
    """For any arrivals and any late wake-ups, no window of Q/R seconds holds more than Q = ceil(R) permissions."""
    clock = Clock(late_s)
    given_s = permissions(Throttle(rate_per_s, clock, clock.sleep), clock, arrivals_s)
    quota = Quota.of(rate_per_s)
    assert quota.slots / quota.window_s == pytest.approx(rate_per_s)
    lengths_s = [later_s - first_s for first_s, later_s in zip(given_s, given_s[quota.slots :], strict=False)]
    assert [length_s for length_s in lengths_s if length_s < quota.window_s] == []


@given(
    st.integers(1, 60).map(float),
    st.lists(st.just(0.0) | st.floats(0, 0.3) | st.floats(0, 5), min_size=80, max_size=160),
)
def test_a_permission_counts_until_its_request_leaves(rate_per_s: float, held_up_s: list[float]) -> None:
    """However long a request is held up after its permission, no window sees more of them leave than the quota."""
    clock, left_s = Clock(), []
    under_way: list[tuple[float, Wait]] = []

    def pass_by(until_s: float) -> None:
        while under_way and min(under_way, key=itemgetter(0))[0] <= until_s:
            first = min(under_way, key=itemgetter(0))
            under_way.remove(first)
            clock.now_s = max(clock.now_s, first[0])
            first[1].release()
            left_s.append(clock.now_s)
        clock.now_s = max(clock.now_s, until_s)

    throttle = Throttle(rate_per_s, clock, lambda seconds: pass_by(clock.now_s + seconds))
    for seconds in held_up_s:
        wait = throttle.wait()
        under_way.append((clock.now_s + seconds, wait))
        pass_by(clock.now_s)
    pass_by(math.inf)
    quota = Quota.of(rate_per_s)
    lengths_s = [later_s - first_s for first_s, later_s in zip(left_s, left_s[quota.slots :], strict=False)]
    assert [length_s for length_s in lengths_s if length_s < quota.window_s] == []


@given(RATES, st.lists(st.just(0.0) | st.floats(0, 3), min_size=1, max_size=120))
def test_permissions_are_evenly_spaced(rate_per_s: float, arrivals_s: list[float]) -> None:
    """No stretch of T seconds sees more than R x (T + 0.1) + 1: a tenth of a second is all that is made up for."""
    clock = Clock()
    given_s = permissions(Throttle(rate_per_s, clock, clock.sleep), clock, arrivals_s)
    for first in range(len(given_s)):
        for last in range(first, len(given_s)):
            seconds = given_s[last] - given_s[first]
            assert last - first + 1 <= rate_per_s * (seconds + CATCH_UP_S) + 1 + 1e-6


@given(RATES)
def test_the_quota_is_full_while_there_is_work(rate_per_s: float) -> None:
    """Callers that never let up are given at least 98 % of the rate, also where each wake-up is 2 ms late."""
    count = 300
    clock = Clock([0.002] * 100_000)
    given_s = permissions(Throttle(rate_per_s, clock, clock.sleep), clock, [0.0] * count)
    assert (count - 1) / (given_s[-1] - given_s[0]) >= 0.98 * rate_per_s


@given(st.lists(st.floats(0, 3), max_size=20))
def test_no_rate_is_no_limit(arrivals_s: list[float]) -> None:
    """A rate of 0 lets every caller pass at once."""
    clock = Clock()
    throttle = Throttle(0, clock, clock.sleep)
    waits = []
    for pause_s in arrivals_s:
        clock.now_s += pause_s
        waits.append(throttle.wait())
    assert waits == [Wait()] * len(arrivals_s)


@pytest.mark.parametrize("rate_per_s", [0.0, 10.0])
def test_what_is_too_fast_is_held(rate_per_s: float) -> None:
    """After the endpoint said that it is too fast, nothing is given for as long as it said."""
    clock = Clock()
    throttle = Throttle(rate_per_s, clock, clock.sleep)
    throttle.wait().release()
    throttle.slow_down(7.0)
    throttle.slow_down(2.0)
    throttle.wait()
    assert clock.now_s == pytest.approx(7.0)


@pytest.mark.parametrize(("words", "least_s", "most_s"), [(1, 1.05, 1.13), (4, 1.2, 1.4)])
def test_the_pace_is_less_and_comes_back(words: int, least_s: float, most_s: float) -> None:
    """Each word that it was too fast takes a tenth of the rate; half a minute later all of it is given again."""
    clock = Clock()
    throttle = Throttle(10.0, clock, clock.sleep)
    for _ in range(words):
        clock.now_s += 1.1
        throttle.slow_down(0.0)
    slow_s = permissions(throttle, clock, [0.0] * 11)
    clock.now_s += 60.0
    full_s = permissions(throttle, clock, [0.0] * 101)
    assert least_s < slow_s[-1] - slow_s[0] < most_s
    assert 9.8 <= 90 / (full_s[100] - full_s[10]) <= 10.0


def test_a_wait_ends_when_all_is_over() -> None:
    """A caller that waits while the run is stopped comes back without waiting for its turn."""
    clock = Clock()
    throttle = Throttle(0.01, clock, clock.sleep)
    throttle.wait().release()
    wait = throttle.wait(should_stop=lambda: clock.now_s >= 5.0)
    assert (wait.total_s, clock.now_s) == (pytest.approx(5.0, abs=0.2), pytest.approx(5.0, abs=0.2))


def test_waits_say_how_long_the_quota_held_the_process() -> None:
    """Threads that wait for one another each say their whole wait, but only the one at the head says that it held."""
    clock = Clock()
    throttle = Throttle(1.0, clock, clock.sleep)
    waits: list[Wait] = []

    def serve() -> None:
        waits.append(throttle.wait())
        waits[-1].release()

    threads = [threading.Thread(target=serve) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(wait.at_head_s for wait in waits) == pytest.approx(clock.now_s)
    assert all(wait.total_s >= wait.at_head_s for wait in waits)
    assert 5.0 <= clock.now_s <= 5.1


class Part:
    """Some slots of a quota."""

    def __init__(self, slots: int) -> None:
        self.held = slots

    def slots(self, now_s: float) -> int:
        return self.held


@pytest.mark.parametrize(("slots", "rate_per_s"), [(20, 20.0), (5, 5.0), (1, 1.0), (0, 1.0)])
def test_the_rate_is_that_of_the_slots_held(slots: int, rate_per_s: float) -> None:
    """A process without a slot counts on one to come; no quota is no bound."""
    clock = Clock()
    assert Throttle(20, clock, clock.sleep, Part(slots)).rate_per_s() == rate_per_s
    assert Throttle(20, clock, clock.sleep).rate_per_s() == 20
    assert Throttle(0, clock, clock.sleep).rate_per_s() == math.inf


def test_the_rate_falls_with_the_pace() -> None:
    clock = Clock()
    throttle = Throttle(20, clock, clock.sleep)
    clock.now_s = 100.0
    throttle.slow_down(0.0)
    assert (throttle.backoff_factor(), throttle.rate_per_s()) == (0.9, 18.0)


@given(
    st.sampled_from([5.0, 10.0, 20.0, 50.0]),
    st.lists(st.sampled_from([0.0, 0.0, 0.05, 0.1, 0.2]), min_size=100, max_size=200),
)
def test_a_request_that_comes_late_at_the_endpoint_keeps_the_quota(rate_per_s: float, late_s: list[float]) -> None:
    """Any one may be 12 ms longer on its way than the one a window later: windows are so much longer as they leave."""
    clock, quota = Clock(late_s), Quota.of(rate_per_s)
    given_s = permissions(Throttle(rate_per_s, clock, clock.sleep), clock, [0.0] * 120)
    lengths_s = [later_s - first_s for first_s, later_s in zip(given_s, given_s[quota.slots :], strict=False)]
    assert [length_s for length_s in lengths_s if length_s < quota.window_s + 0.012 - 1e-9] == []


def test_a_request_leaves_once() -> None:
    """The end of its call is not when it left: however long it takes, the next window counts from its leaving."""
    clock = Clock()
    throttle = Throttle(1.0, clock, clock.sleep)
    wait = throttle.wait()
    wait.release()
    clock.now_s = 0.9
    wait.release()
    throttle.wait()
    assert 1.0 <= clock.now_s < 1.1


def test_words_within_a_second_are_about_one_overload() -> None:
    """A burst of 429 takes a tenth of the rate once; a word more than a second later takes another."""
    clock, paces = Clock(), []
    throttle = Throttle(10.0, clock, clock.sleep)
    for at_s in (10.0, 10.5, 11.0, 11.1):
        clock.now_s = at_s
        throttle.slow_down(0.0)
        paces.append(round(throttle.backoff_factor(), 3))
    assert paces == [0.9, round(0.9 + 0.5 / 30, 3), round(0.9 + 1 / 30, 3), round((0.9 + 1.1 / 30) * 0.9, 3)]
