"""The calls of a run never cost more than is allowed, by any number of workers, and unbilled calls do not count."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.config.prices import affordable_calls
from cardbeam.ratelimit.allowance import Allowance
from cardbeam.ratelimit.call_budget import chunks, of_one, shared
from cardbeam.ratelimit.cost_budget import CostBudget, may_be_billed
from cardbeam.run_state.stop_signal import BUDGET, COST, TIME_WINDOW
from cardbeam.storage.folder import LocalFolder
from schemas.outcomes import OUTCOMES, outcome_of_error_code, outcome_of_status
from tests.servers import Answer, CardServer, failure
from tests.wire import Received

CAP, PRICE = 6.4, 0.02
WORKER = """
import sys, uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from cardbeam.ratelimit import call_budget as budget
from cardbeam.ratelimit.allowance import Allowance
from cardbeam.http.card_client import CardClient, Credentials
from cardbeam.http.body import ImagePayload
from cardbeam.ratelimit.cost_budget import CostBudget
from cardbeam.config.prices import affordable_calls
from cardbeam.http.retry import RetryPolicy
from cardbeam.calls.sender import Sender
from cardbeam.run_state.stop_signal import StopSignal
from cardbeam.storage.folder import LocalFolder
from cardbeam.ratelimit.throttle import Throttle

url, output, cap, price = sys.argv[1], LocalFolder(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
calls = budget.shared(output, "r1", "s1", affordable_calls(cap, price), lambda: uuid.uuid4().hex)
stop = StopSignal(output, "r1")
sender = Sender(
    CardClient(url, Credentials("k", "s")), Throttle(0), stop, RetryPolicy(3, 60.0),
    jitter=lambda: 0.001, sleep=stop.wait, allowance=Allowance(cost=CostBudget(calls)),
)

def send(number):
    if not stop.is_set:
        sender.send("ekyc/card", [ImagePayload(b"%d" % number, "image/jpeg")], str(number))

with ThreadPoolExecutor(4) as pool:
    list(pool.map(send, range(100_000)))
"""


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
    rng, answered, lock = random.Random(4), [0], threading.Lock()

    def answer(got: Received) -> Answer:
        del got
        with lock:
            if rng.random() < 1 / 3:
                return Answer(status=503, latency_s=0.002)
            answered[0] += 1
        return Answer(failure("1").body, headers={"Content-Type": "application/json"}, latency_s=0.002)

    with CardServer(answer, keeps_content=False) as server:

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [sys.executable, "-c", WORKER, server.base_url, str(tmp_path), str(CAP), str(PRICE)]
            )

        workers, kills = [start(), start()], 0
        while kills < 4:
            begun = answered[0]
            while answered[0] < begun + 20 and any(one.poll() is None for one in workers):
                time.sleep(0.005)
            number = kills % 2
            workers[number].kill()
            workers[number].wait()
            workers[number], kills = start(), kills + 1
        for one in workers:
            assert one.wait(timeout=60) == 0
    most, held = affordable_calls(CAP, PRICE), max(chunks(affordable_calls(CAP, PRICE)))
    assert most - 4 * held <= answered[0] <= most
