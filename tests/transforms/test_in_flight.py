"""Many calls at once inside a bundle: never more than there is room for, each ending handed out once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain

import pytest

from transforms.in_flight import InFlight, Places

PATIENCE_S = 30


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as executor:
        yield executor


class Gauge:
    """Work that counts how much of it is under way, and goes on only when `at_once` of it is."""

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
    endings: list[int] = []
    for number in range(count):
        endings += in_flight.submit(lambda number=number: gauge.work(number), size_bytes)
    return endings + list(in_flight.drain())


def test_as_much_is_under_way_as_there_is_room_for(threads: ThreadPoolExecutor) -> None:
    """With four places four are under way at once, never five, and each ending comes out once."""
    gauge = Gauge(at_once=4)
    endings = run(InFlight(threads, Places(lambda: 4)), gauge, 20)
    assert (sorted(endings), gauge.most) == (list(range(20)), 4)


def test_pictures_under_way_are_bounded_in_bytes(threads: ThreadPoolExecutor) -> None:
    """With room for three pictures' bytes three are under way, however many places there are."""
    gauge = Gauge(at_once=3)
    endings = run(InFlight(threads, Places(lambda: 16, most_bytes=3500)), gauge, 12, size_bytes=1000)
    assert (sorted(endings), gauge.most) == (list(range(12)), 3)


def test_a_picture_of_any_size_goes_alone(threads: ThreadPoolExecutor) -> None:
    """A picture beyond the bound waits until nothing else is under way, then goes, and keeps others out."""
    gauge = Gauge(at_once=1)
    endings = run(InFlight(threads, Places(lambda: 16, most_bytes=100)), gauge, 5, size_bytes=1000)
    assert (sorted(endings), gauge.most) == (list(range(5)), 1)


def test_bundles_share_the_places_of_their_process(threads: ThreadPoolExecutor) -> None:
    """Two bundles that run side by side have no more than four under way together; each gets its own endings."""
    gauge, places = Gauge(at_once=1), Places(lambda: 4)
    with ThreadPoolExecutor(2) as bundles:
        both = list(bundles.map(lambda _: sorted(run(InFlight(threads, places), gauge, 100)), range(2)))
    assert both == [list(range(100))] * 2
    assert gauge.most <= 4


def test_places_may_become_more(threads: ThreadPoolExecutor) -> None:
    """The bound is asked for each time: what was learned meanwhile counts at once."""
    bounds = iter([1, *[3] * 1000])
    gauge = Gauge(at_once=3)
    assert sorted(run(InFlight(threads, Places(lambda: next(bounds))), gauge, 9)) == list(range(9))
    assert gauge.most == 3


def test_a_failure_is_raised_in_the_bundle(threads: ThreadPoolExecutor) -> None:
    """What a thread raises comes out of the bundle as it is, and its place is free again."""

    def fail() -> int:
        raise OSError("the disk is full")

    in_flight: InFlight[int] = InFlight(threads, Places(lambda: 1))
    with pytest.raises(OSError, match="the disk is full"):
        list(chain(in_flight.submit(fail), in_flight.drain()))
    assert list(chain(in_flight.submit(lambda: 7), in_flight.drain())) == [7]


def test_nothing_under_way_is_drained_at_once(threads: ThreadPoolExecutor) -> None:
    """An empty bundle ends."""
    assert list(InFlight(threads, Places(lambda: 1)).drain()) == []


def test_what_waits_beside_is_started_without_a_sleep_and_ends_with_the_rest(threads: ThreadPoolExecutor) -> None:
    """With one place and three ahead, four are taken while the first is held up; the fifth waits for it."""
    goes_on = threading.Event()
    ran: list[int] = []

    def work(number: int) -> int:
        if not number:
            goes_on.wait(PATIENCE_S)
        ran.append(number)
        return number

    in_flight: InFlight[int] = InFlight(threads, Places(lambda: 1), ahead=lambda: 3)
    taken = [list(in_flight.submit(partial(work, number))) for number in range(4)]
    threading.Timer(0.1, goes_on.set).start()
    fifth = list(in_flight.submit(partial(work, 4)))
    assert (taken, fifth[:1], goes_on.is_set()) == ([[]] * 4, [0], True)
    assert sorted(fifth + list(in_flight.drain())) == ran == list(range(5))
