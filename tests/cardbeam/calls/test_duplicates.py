"""Copies that meet: one goes first, all others learn its fate."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, BrokenBarrierError

import pytest

from cardbeam.calls.duplicates import InFlightDuplicates
from cardbeam.model.result import RequestOutcome


def test_one_of_many_goes_first() -> None:
    """Of threads that claim an item at once exactly one is first, and all others get the fate it says."""
    duplicates, count = InFlightDuplicates(), 16
    start = Barrier(count)

    def take(_: int) -> tuple[bool, RequestOutcome | None]:
        start.wait()
        is_first, claim = duplicates.take("a")
        if is_first:
            claim.set_result(RequestOutcome.SUCCEEDED)
            return True, None
        return False, claim.wait()

    with ThreadPoolExecutor(count) as threads:
        taken = list(threads.map(take, range(count)))
    assert sorted(taken, key=str) == [(False, RequestOutcome.SUCCEEDED)] * (count - 1) + [(True, None)]


@pytest.mark.parametrize("outcome", list(RequestOutcome))
def test_a_fate_is_handed_on(outcome: RequestOutcome) -> None:
    """Whatever came of the first is what the next one learns, also long after."""
    duplicates = InFlightDuplicates()
    _, first = duplicates.take("a")
    first.set_result(outcome)
    is_first, second = duplicates.take("a")
    assert (is_first, second.wait()) == (False, outcome)


def test_items_are_claimed_each_for_itself() -> None:
    """A claim on one item is none on another, and none among other requests."""
    duplicates = InFlightDuplicates()
    assert [duplicates.take(item_id)[0] for item_id in ("a", "b", "a")] == [True, True, False]
    assert InFlightDuplicates().take("a")[0]


def test_a_fate_that_is_held_keeps_no_thread() -> None:
    """Who waits while the first is called gets a future once it is held, so does who comes later; both learn it."""
    duplicates = InFlightDuplicates()
    _, claim = duplicates.take("a")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(claim.wait)
        claim.hold()
        early = waiting.result(30)
    _, later = duplicates.take("a")
    late = later.wait()
    assert isinstance(early, Future) and isinstance(late, Future)
    claim.set_result(RequestOutcome.DEAD_LETTERED)
    assert (early.result(0), late.result(0), claim.wait()) == (
        RequestOutcome.DEAD_LETTERED,
        RequestOutcome.DEAD_LETTERED,
        RequestOutcome.DEAD_LETTERED,
    )


class Watched(str):
    """An item id that lets another thread come between two reads of it, if that can."""

    def __hash__(self) -> int:
        if not _MET.broken:
            with suppress(BrokenBarrierError):
                _MET.wait(0.2)
        return super().__hash__()


_MET = Barrier(2)


def test_two_threads_at_once_are_not_both_first() -> None:
    """However two threads take turns, one of them is first: an image is never sent by both."""
    duplicates = InFlightDuplicates()
    with ThreadPoolExecutor(2) as threads:
        taken = list(threads.map(lambda _: duplicates.take(Watched("a")), range(2)))
    assert sorted(is_first for is_first, _ in taken) == [False, True]
    assert taken[0][1] is taken[1][1]
