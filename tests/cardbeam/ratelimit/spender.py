"""A worker process that sends until a shared cost cap is used up."""

from __future__ import annotations

import itertools
import uuid
from concurrent.futures import ThreadPoolExecutor

from cardbeam.calls.sender import Sender
from cardbeam.config.prices import affordable_calls
from cardbeam.http.body import ImagePayload
from cardbeam.http.card_client import CardClient, Credentials
from cardbeam.http.retry import RetryPolicy
from cardbeam.ratelimit.budgets import call_budget as budget
from cardbeam.ratelimit.budgets.allowance import Allowance
from cardbeam.ratelimit.budgets.cost_budget import CostBudget
from cardbeam.ratelimit.throttle import Throttle
from cardbeam.run_state.stop_signal import StopSignal
from cardbeam.storage.folder import LocalFolder

PRICE = 0.02
THREADS = 4


def work(url: str, output: str, cap: float) -> None:
    """One worker: sends until it finds no budget."""
    folder = LocalFolder(output)
    calls = budget.shared(folder, "r1", "s1", affordable_calls(cap, PRICE), lambda: uuid.uuid4().hex)
    stop = StopSignal(folder, "r1")
    sender = Sender(
        CardClient(url, Credentials("k", "s")),
        Throttle(0),
        stop,
        RetryPolicy(3, 60.0),
        jitter=lambda: 0.001,
        sleep=stop.wait,
        allowance=Allowance(cost=CostBudget(calls)),
    )
    numbers = itertools.count()

    def send_all(_: int) -> None:
        while not stop.is_set:
            number = next(numbers)
            sender.send("ekyc/card", [ImagePayload(b"%d" % number, "image/jpeg")], str(number))

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(send_all, range(THREADS)))
