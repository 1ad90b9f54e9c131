"""What bounds the calls of a run: their number, their cost, and the time window."""

from __future__ import annotations

from collections.abc import Callable

from cardbeam.ratelimit.budgets.call_budget import Budget, endless
from cardbeam.ratelimit.budgets.cost_budget import CostBudget, may_be_billed
from cardbeam.run_state.stop_signal import BUDGET, COST, TIME_WINDOW, StopReason
from schemas.outcomes import Outcome


class Allowance:
    """Asked before each call, by the threads of a process."""

    def __init__(
        self,
        calls: Budget | None = None,
        cost: CostBudget | None = None,
        is_closed: Callable[[], bool] = lambda: False,
    ) -> None:
        self._calls, self._cost, self.is_closed = calls or endless(), cost or CostBudget(), is_closed

    def acquire(self, should_stop: Callable[[], bool]) -> StopReason | None:
        """Take one call; why the run stops, where there is none. `is_over` ends a wait.

        Raises:
            OSError: the store that shares a budget cannot be used.
        """
        if self.is_closed():
            return TIME_WINDOW
        while not self._calls.acquire():
            if not self._calls.take_again():
                return BUDGET
        try:
            has_cost = self._cost.acquire(should_stop)
        except OSError:
            self._calls.release()
            raise
        if not has_cost:
            self._calls.release()
        return None if has_cost else COST

    def release(self) -> None:
        """A call that was taken is not made."""
        self._calls.release()
        self._cost.end(is_billed=False)

    def give_back(self) -> None:
        """This worker has no more to send for now: leave what it did not use to the others.

        Raises:
            OSError: the store did not take it.
        """
        self._cost.give_back()
        self._calls.give_back()

    def end(self, outcome: Outcome) -> None:
        """A call was made, with this outcome."""
        self._cost.end(is_billed=may_be_billed(outcome))
