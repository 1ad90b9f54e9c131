"""Deduplicates identical images in flight: the first is sent, the others reuse its result."""

from __future__ import annotations

import threading
from concurrent.futures import Future

from cardbeam.model.result import RequestOutcome


class InFlightResult:
    """One item's fate, known when its first request has ended. Small: a group may be all images of a run."""

    __slots__ = ("_held", "_outcome", "_turn", "failed_for_now")

    def __init__(self) -> None:
        self.failed_for_now = False
        """Of what is deferred: whether it failed, and this run tries it again."""
        self._outcome = RequestOutcome.DEFERRED
        self._held: Future[RequestOutcome] | None = None
        self._turn: threading.Lock | None = threading.Lock()
        self._turn.acquire()

    def set_result(self, outcome: RequestOutcome, *, failed_for_now: bool = False) -> None:
        """Say what came of the first request, once."""
        self.failed_for_now = failed_for_now
        held, self._outcome = self._held, outcome
        self._held = None  # after the fate: who waits reads them the other way round
        self._let_go()
        if held is not None:
            held.set_result(outcome)

    def hold(self) -> None:
        """The fate of the first request is not decided for a while: nobody waits for it in a thread."""
        self._held = Future()
        self._let_go()

    def wait(self) -> RequestOutcome | Future[RequestOutcome]:
        """What came of the first request, once it is known; what will be known, where it is held."""
        if (turn := self._turn) is not None:
            with turn:  # and leave it to the next that waits
                pass
        held = self._held
        return self._outcome if held is None else held

    def _let_go(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.release()


class InFlightDuplicates:
    """The claims among requests that may be duplicates of each other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._results: dict[str, InFlightResult] = {}

    def take(self, item_id: str) -> tuple[bool, InFlightResult]:
        """Whether the caller is the first to claim the item, and the claim."""
        with self._lock:
            is_first = item_id not in self._results
            return is_first, self._results.setdefault(item_id, InFlightResult())
