"""Many calls at once inside a bundle: never more than there is room for, each ending returned once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain

import pytest

from cardbeam.calls.bounded_executor import Held, InFlight, InFlightLimit

PATIENCE_S = 30


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as executor:
        yield executor


class Gauge:
    """Work that counts how much of it is in flight, and goes on only when `at_once` of it is."""

    def __init__(self, at_once: int) -> None:
        self._meet = threading.Barrier(at_once)
        self._lock = threading.Lock()
        self.under_way = self.most = 0

    def work(self, number: int) -> int:
        with self._lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        self._meet.wait(PATIENCE_S)
        with self._lock:
            self.under_way -= 1
        return number


def run(in_flight: InFlight[int], gauge: Gauge, count: int, size_bytes: int = 0) -> list[int]:
    results: list[int] = []
    for number in range(count):
        results += in_flight.submit(lambda number=number: gauge.work(number), size_bytes)
    return results + list(in_flight.drain())


def test_as_much_is_under_way_as_there_is_room_for(threads: ThreadPoolExecutor) -> None:
    """With four places four are in flight at once, never five, and each ending comes out once."""
    gauge = Gauge(at_once=4)
    results = run(InFlight(threads, InFlightLimit(lambda: 4)), gauge, 20)
    assert (sorted(results), gauge.most) == (list(range(20)), 4)


def test_images_under_way_are_bounded_in_bytes(threads: ThreadPoolExecutor) -> None:
    """With room for three images' bytes three are in flight, however many places there are."""
    gauge = Gauge(at_once=3)
    results = run(InFlight(threads, InFlightLimit(lambda: 16, max_bytes=3500)), gauge, 12, size_bytes=1000)
    assert (sorted(results), gauge.most) == (list(range(12)), 3)


def test_an_image_of_any_size_goes_alone(threads: ThreadPoolExecutor) -> None:
    """An image beyond the bound waits until nothing else is in flight, then goes, and keeps others out."""
    gauge = Gauge(at_once=1)
    results = run(InFlight(threads, InFlightLimit(lambda: 16, max_bytes=100)), gauge, 5, size_bytes=1000)
    assert (sorted(results), gauge.most) == (list(range(5)), 1)


def test_bundles_share_the_places_of_their_process(threads: ThreadPoolExecutor) -> None:
    """Two bundles that run side by side have no more than four in flight together; each gets its own endings."""
    gauge, limit = Gauge(at_once=1), InFlightLimit(lambda: 4)
    with ThreadPoolExecutor(2) as bundles:
        both = list(bundles.map(lambda _: sorted(run(InFlight(threads, limit), gauge, 100)), range(2)))
    assert both == [list(range(100))] * 2
    assert gauge.most <= 4


def test_places_may_become_more(threads: ThreadPoolExecutor) -> None:
    """The bound is asked for each time: what was learned meanwhile counts at once."""
    bounds = iter([1, *[3] * 1000])
    gauge = Gauge(at_once=3)
    assert sorted(run(InFlight(threads, InFlightLimit(lambda: next(bounds))), gauge, 9)) == list(range(9))
    assert gauge.most == 3


def test_a_failure_is_raised_in_the_bundle(threads: ThreadPoolExecutor) -> None:
    """What a thread raises comes out of the bundle as it is, and its place is free again."""

    def fail() -> int:
        raise OSError("the disk is full")

    in_flight: InFlight[int] = InFlight(threads, InFlightLimit(lambda: 1))
    with pytest.raises(OSError, match="the disk is full"):
        list(chain(in_flight.submit(fail), in_flight.drain()))
    assert list(chain(in_flight.submit(lambda: 7), in_flight.drain())) == [7]


def test_nothing_under_way_is_drained_at_once(threads: ThreadPoolExecutor) -> None:
    """An empty bundle ends."""
    assert list(InFlight(threads, InFlightLimit(lambda: 1)).drain()) == []


def test_what_waits_beside_is_started_without_a_sleep_and_ends_with_the_rest(threads: ThreadPoolExecutor) -> None:
    """With one place and three ahead, four are taken while the first is held up; the fifth waits for it."""
    goes_on = threading.Event()
    ran: list[int] = []

    def work(number: int) -> int:
        if not number:
            goes_on.wait(PATIENCE_S)
        ran.append(number)
        return number

    in_flight: InFlight[int] = InFlight(threads, InFlightLimit(lambda: 1), prefetch=lambda: 3)
    taken = [list(in_flight.submit(partial(work, number))) for number in range(4)]
    threading.Timer(0.1, goes_on.set).start()
    fifth = list(in_flight.submit(partial(work, 4)))
    assert (taken, fifth[:1], goes_on.is_set()) == ([[]] * 4, [0], True)
    assert sorted(fifth + list(in_flight.drain())) == ran == list(range(5))


class Verdicts:
    """Work that is held until somebody decides; each counts how often a bundle asked for it."""

    def __init__(self, decides_at: int = 3) -> None:
        self.decided: list[Future[str]] = []
        self.asked, self._decides_at = 0, decides_at

    def hold(self, number: int) -> Held[str]:
        self.decided.append(Future())
        verdict = self.decided[-1]
        return Held(verdict, lambda: f"{number}: {verdict.result(0)}")

    def decide(self, verdict: str) -> None:
        for one in self.decided:
            if not one.done():
                one.set_result(verdict)

    def when_held(self) -> None:
        self.asked += 1
        if self.asked == self._decides_at:
            self.decide("nobody came")


def test_held_work_keeps_neither_thread_nor_place() -> None:
    """With one thread and one place, ten are held and an eleventh that runs after them decides all."""
    verdicts, limit = Verdicts(), InFlightLimit(lambda: 1)

    def decides() -> str:
        verdicts.decide("another came")
        return "10"

    with ThreadPoolExecutor(1) as threads:
        in_flight: InFlight[str] = InFlight(threads, limit, when_held=verdicts.when_held)
        works: list[Callable[[], str | Held[str]]] = [
            *(partial(verdicts.hold, number) for number in range(10)),
            decides,
        ]
        ended = [one for work in works for one in in_flight.submit(work)] + list(in_flight.drain())
    assert sorted(ended) == sorted([*(f"{number}: another came" for number in range(10)), "10"])
    assert (verdicts.asked, limit.idle_s() > 0) == (0, True)


def test_a_bundle_that_waits_for_held_work_alone_says_so_until_it_is_decided(threads: ThreadPoolExecutor) -> None:
    """As long as something runs it does not."""
    verdicts, goes_on = Verdicts(), threading.Event()
    asked_while_running: list[int] = []

    def runs() -> str:
        goes_on.wait(0.5)
        asked_while_running.append(verdicts.asked)
        return "ran"

    in_flight: InFlight[str] = InFlight(threads, InFlightLimit(lambda: 4), when_held=verdicts.when_held)
    ended = [*in_flight.submit(partial(verdicts.hold, 0)), *in_flight.submit(runs), *in_flight.drain()]
    assert (ended, asked_while_running, verdicts.asked) == (["ran", "0: nobody came"], [0], 3)


def test_the_last_step_of_held_work_may_fail(threads: ThreadPoolExecutor) -> None:
    """It is raised in the bundle, as any failure."""

    def fail() -> str:
        raise OSError("the disk is full")

    decided: Future[None] = Future()
    in_flight: InFlight[str] = InFlight(threads, InFlightLimit(lambda: 1))
    list(in_flight.submit(lambda: Held(decided, fail)))
    decided.set_result(None)
    with pytest.raises(OSError, match="the disk is full"):
        list(in_flight.drain())


def test_a_place_says_since_when_nothing_is_in_flight() -> None:
    clock = iter([0.0, 5.0, 7.0, 9.0]).__next__
    limit = InFlightLimit(lambda: 2, clock=clock)
    idle_s = [limit.idle_s()]
    for step in (limit.acquire, limit.acquire, limit.release, limit.release):
        step(0, **({"waits": False} if step == limit.acquire else {}))
        idle_s.append(0.0 if step == limit.acquire else limit.idle_s())
    assert idle_s == [5.0, 0.0, 0.0, 0.0, 2.0]
