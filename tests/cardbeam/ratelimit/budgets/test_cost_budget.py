"""The calls of a run never cost more than is allowed, by any number of workers, and unbilled calls do not count."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.config.prices import affordable_calls
from cardbeam.ratelimit.budgets.allowance import Allowance
from cardbeam.ratelimit.budgets.call_budget import of_one, shared
from cardbeam.ratelimit.budgets.cost_budget import CostBudget, may_be_billed
from cardbeam.run_state.stop_signal import BUDGET, COST, TIME_WINDOW
from cardbeam.storage.folder import LocalFolder
from schemas.outcomes import OUTCOMES, outcome_of_error_code, outcome_of_status
from tests.cardbeam.ratelimit.spending import spend


@given(st.decimals("0.001", 100, places=3), st.integers(0, 1_000_000))
def test_a_cost_buys_whole_calls(price: object, calls: int) -> None:
    assert affordable_calls(float(price) * calls, float(price)) in (calls - 1, calls)  # type: ignore[arg-type]
    assert affordable_calls(1.0, 0.1) == 10
    assert affordable_calls(0.29, 0.1) == 2


def test_which_calls_may_be_billed() -> None:
    """Those that were answered, and those whose response was lost."""
    billed = ["succeeded", "error_1", "error_3", "timeout", "connection", "bad_reply"]
    free = ["unreachable", "error_4", "error_5", "error_6"]
    assert [may_be_billed(OUTCOMES[code]) for code in (*billed, *free)] == [True] * 6 + [False] * 4
    assert [may_be_billed(outcome_of_status(status)) for status in (302, 401, 404, 413, 429, 503)] == 6 * [False]
    assert may_be_billed(outcome_of_error_code("77", "file"))


def test_who_finds_none_left_waits_for_a_call_in_flight() -> None:
    """It takes the place of an unbilled one; of a billed one there is none."""
    budget = CostBudget(of_one(1))
    assert budget.acquire(lambda: False)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(budget.acquire, lambda: False)
        time.sleep(0.05)
        assert not waiting.done()
        budget.end(is_billed=False)
        assert waiting.result(timeout=5)
    budget.end(is_billed=True)
    assert not budget.acquire(lambda: False)


def test_what_bounds_a_run_takes_what_another_worker_gave_back(tmp_path: Path) -> None:
    """Calls and cost alike, before it is told that there is none left."""
    ids = map(str, count())

    def allowance() -> Allowance:
        calls, cost = (shared(LocalFolder(str(tmp_path)), "r", name, 70, lambda: next(ids)) for name in "cd")
        return Allowance(calls, CostBudget(cost))

    one, other = allowance(), allowance()
    assert one.acquire(lambda: False) is None
    one.end(OUTCOMES["succeeded"])
    one.give_back()  # a chunk is two calls
    taken = 0
    while other.acquire(lambda: False) is None:
        taken += 1
        other.end(OUTCOMES["succeeded"])
    assert taken == 69


def test_a_wait_ends_with_the_run() -> None:
    budget, over = CostBudget(of_one(1)), threading.Event()
    assert budget.acquire(over.is_set)
    threading.Timer(0.05, over.set).start()
    assert not budget.acquire(over.is_set)


def test_what_bounds_a_run_is_told_by_its_reason() -> None:
    """And nothing is taken of one budget where the other is at its end."""
    calls = of_one(2)
    spent = Allowance(calls, CostBudget(of_one(1)))
    assert [spent.acquire(lambda: True) for _ in range(2)] == [None, COST]
    assert [calls.acquire(), calls.acquire()] == [True, False]
    assert Allowance(of_one(0)).acquire(lambda: True) is BUDGET
    assert Allowance(is_closed=lambda: True).acquire(lambda: True) is TIME_WINDOW


@pytest.mark.slow
def test_the_cost_of_killed_workers_stays_below_the_cap(tmp_path: Path) -> None:
    """Two workers of four threads, each killed and begun again twice, against an endpoint that fails one call of three:
    the answered calls cost no more than the cap, and less by what the killed ones held at the most."""
    spent = spend(tmp_path, 6.4, kills=4)
    assert (spent.most, spent.is_kept) == (320, True), spent
