"""A budget is never passed, by any number of workers, and all of it can be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.ratelimit.budgets.call_budget import Budget, chunks, endless, of_one, shared
from cardbeam.storage.folder import LocalFolder, StoredFile


@given(st.integers(0, 10_000_000))
def test_chunks_add_up_to_the_budget_and_end_in_single_calls(max_calls: int) -> None:
    sizes = list(chunks(max_calls))
    assert sum(sizes) == max_calls
    assert all(size >= 1 for size in sizes)
    assert sizes[-32:] == [1] * min(32, max_calls)


@pytest.mark.parametrize(
    ("max_calls", "count"), [(32, 32), (64, 63), (1_000, 158), (1_000_000, 376), (10_000_000, 448)]
)
def test_chunks_are_few(max_calls: int, count: int) -> None:
    """Some 22 more for each doubling of the budget: a worker creates a file for each that it takes."""
    assert len(list(chunks(max_calls))) == count


def _ids(name: str = "") -> Callable[[], str]:
    numbers = count()
    return lambda: f"{name}{next(numbers)}"


@dataclass(frozen=True)
class _InMemory(LocalFolder):
    """Without a disk, which takes its time to flush."""

    files: dict[str, bytes] = field(default_factory=dict)

    def list(self, prefix: str) -> Iterator[StoredFile]:
        return iter([StoredFile(path, 0) for path in self.files if path.startswith(prefix)])

    def create(self, path: str, content: bytes) -> bool:
        return self.files.setdefault(path, content) is content


def _taken(budget: Budget) -> int:
    return sum(iter(budget.acquire, False))


def test_workers_that_share_a_budget_use_all_of_it_and_no_more(tmp_path: Path) -> None:
    folder, new_id = LocalFolder(str(tmp_path)), _ids()
    budgets = [shared(folder, "run", "session", 500, new_id) for _ in range(4)]
    with ThreadPoolExecutor(16) as threads:
        taken = list(threads.map(_taken, budgets * 4))
    assert sum(taken) == 500


def test_what_a_killed_worker_had_in_hand_is_lost_and_a_new_session_begins_anew(tmp_path: Path) -> None:
    folder, new_id = LocalFolder(str(tmp_path)), _ids()
    killed = shared(folder, "run", "one", 320, new_id)
    assert killed.acquire()
    assert _taken(shared(folder, "run", "one", 320, new_id)) == 310  # its chunk was 10
    assert _taken(shared(folder, "run", "two", 320, new_id)) == 320


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_what_a_worker_does_not_use_is_left_to_the_others(used: list[int]) -> None:
    """Those that come to their end one after the other, and the last one, use all of it and no more."""
    folder = _InMemory("")
    budgets = [shared(folder, "run", "session", 400, _ids(name)) for name in "abcdef"]
    begun = [sum(budget.acquire() for _ in range(calls)) for budget, calls in zip(budgets, used, strict=False)]
    for budget in budgets[:-1]:
        budget.give_back()
    last = budgets[-1]
    rest = _taken(last)
    while last.take_again():
        rest += _taken(last)
    assert (begun, sum(begun) + rest) == (used, 400)


def test_of_workers_that_want_what_was_given_back_one_has_it(tmp_path: Path) -> None:
    """And it is had once, also where the store took it and said that it did not."""

    class Lying(LocalFolder):
        def create(self, path: str, content: bytes) -> bool:
            created = super().create(path, content)
            if "given-back" in path:
                raise OSError("no answer")
            return created

    giving = shared(Lying(str(tmp_path)), "run", "session", 64, _ids("a"))
    assert giving.acquire()
    with pytest.raises(OSError, match="no answer"):
        giving.give_back()
    others = [shared(LocalFolder(str(tmp_path)), "run", "session", 64, _ids(name)) for name in "bcde"]
    rest = sum(map(_taken, [giving, *others]))
    with ThreadPoolExecutor(4) as threads:
        again = [threads.submit(budget.take_again) for budget in others]
    assert (sum(one.result() for one in again), rest + sum(map(_taken, others))) == (1, 63)


def test_a_call_that_was_given_back_can_be_taken_again() -> None:
    budget = of_one(1)
    assert [budget.acquire(), budget.acquire()] == [True, False]
    budget.release()
    assert [budget.acquire(), budget.acquire()] == [True, False]
    assert endless().acquire()


@dataclass(frozen=True)
class _AwayAtFirst(LocalFolder):
    """Fails the first time that it is asked for a listing, and for a file."""

    away: set[str] = field(default_factory=lambda: {"list", "create"})

    def _fail_once(self, deed: str) -> None:
        if deed in self.away:
            self.away.remove(deed)
            raise OSError(deed)

    def list(self, prefix: str) -> Iterator[StoredFile]:
        self._fail_once("list")
        return super().list(prefix)

    def create(self, path: str, content: bytes) -> bool:
        self._fail_once("create")
        return super().create(path, content)


def test_a_store_that_is_away_for_a_while_does_not_end_the_budget(tmp_path: Path) -> None:
    budget = shared(_AwayAtFirst(str(tmp_path)), "run", "session", 100, _ids())
    for deed in ("list", "create"):
        with pytest.raises(OSError, match=deed):
            budget.acquire()
    assert _taken(budget) == 100
