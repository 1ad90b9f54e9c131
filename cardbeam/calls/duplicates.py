"""Deduplicates identical images in flight: the first is sent, the others reuse its result."""

from __future__ import annotations

import threading
from concurrent.futures import Future

from cardbeam.model.result import Fate


class Claim:
    """One item's fate, known when its first request has ended. Small: a group may be all images of a run."""

    __slots__ = ("_fate", "_held", "_turn", "failed_for_now")

    def __init__(self) -> None:
        self.failed_for_now = False
        """Of what is deferred: whether it failed, and this run tries it again."""
        self._fate = Fate.DEFERRED
        self._held: Future[Fate] | None = None
        self._turn: threading.Lock | None = threading.Lock()
        self._turn.acquire()

    def settle(self, fate: Fate, *, failed_for_now: bool = False) -> None:
        """Say what came of the first request, once."""
        self.failed_for_now = failed_for_now
        held, self._fate = self._held, fate
        self._held = None  # after the fate: who waits reads them the other way round
        self._let_go()
        if held is not None:
            held.set_result(fate)

    def hold(self) -> None:
        """The fate of the first request is not decided for a while: nobody waits for it in a thread."""
        self._held = Future()
        self._let_go()

    def wait(self) -> Fate | Future[Fate]:
        """What came of the first request, once it is known; what will be known, where it is held."""
        if (turn := self._turn) is not None:
            with turn:  # and leave it to the next that waits
                pass
        held = self._held
        return self._fate if held is None else held

    def _let_go(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.release()


class Claims:
    """The claims among requests that may be duplicates of each other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claims: dict[str, Claim] = {}

    def take(self, item_id: str) -> tuple[bool, Claim]:
        """Whether the caller is the first to claim the item, and the claim."""
        with self._lock:
            is_first = item_id not in self._claims
            return is_first, self._claims.setdefault(item_id, Claim())
