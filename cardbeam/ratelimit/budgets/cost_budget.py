"""What a run may pay at the most: the number of calls that it can afford, of which unbilled ones do not count."""

from __future__ import annotations

import threading
from collections.abc import Callable

from cardbeam.ratelimit.budgets.call_budget import Budget, endless
from schemas.outcomes import Outcome, Signal

_LOOK_S = 0.1
_UNBILLED = frozenset({Signal.UNREACHABLE, Signal.REFUSED, Signal.BAD_REQUEST})
_UNBILLED_CODES = frozenset({"error_4"})


def may_be_billed(outcome: Outcome) -> bool:
    """Whether the vendor may bill a call: it answered, or the request left and no whole response came.

    Calls that were never sent, were refused, or got an HTTP error are not billed.
    """
    is_http_error = outcome.code.startswith("http_")
    return not is_http_error and outcome.signal not in _UNBILLED and outcome.code not in _UNBILLED_CODES


class CostBudget:
    """Hands out calls that may be billed, to the threads of a process.

    Who finds none left waits for calls in flight, of which an unbilled one gives its place back.
    """

    def __init__(self, calls: Budget | None = None) -> None:
        self._calls = calls or endless()
        self._in_flight = 0
        self._changed = threading.Condition()

    def acquire(self, should_stop: Callable[[], bool]) -> bool:
        """Whether one more call may be made; `is_over` ends a wait.

        Raises:
            OSError: the store that shares the budget cannot be used.
        """
        with self._changed:
            while not self._calls.acquire():
                if should_stop():
                    return False
                if self._in_flight:
                    self._changed.wait(_LOOK_S)
                elif not self._calls.take_again():
                    return False
            self._in_flight += 1
            return True

    def give_back(self) -> None:
        """Leave what is not used to the other workers.

        Raises:
            OSError: the store did not take it.
        """
        self._calls.give_back()

    def end(self, *, is_billed: bool) -> None:
        """A call that was taken has ended, or is not made."""
        with self._changed:
            self._in_flight -= 1
            if not is_billed:
                self._calls.release()
            self._changed.notify_all()
