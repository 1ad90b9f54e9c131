"""Copies of one picture that meet in a run: the first goes ahead, the others take its fate."""

from __future__ import annotations

import threading

from transforms.elements import Fate


class Claim:
    """One item's fate, known when its first request is settled. Small: a group may be all pictures of a night."""

    __slots__ = ("_fate", "_turn")

    def __init__(self) -> None:
        self._fate = Fate.DEFERRED
        self._turn: threading.Lock | None = threading.Lock()
        self._turn.acquire()

    def settle(self, fate: Fate) -> None:
        """Say what came of the first request, once."""
        turn, self._fate, self._turn = self._turn, fate, None
        if turn is not None:
            turn.release()

    def wait(self) -> Fate:
        """What came of the first request; waits until it is known."""
        if (turn := self._turn) is not None:
            with turn:  # and leave it to the next that waits
                pass
        return self._fate


class Claims:
    """The claims among requests that may be copies of each other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claims: dict[str, Claim] = {}

    def take(self, item_id: str) -> tuple[bool, Claim]:
        """Whether the caller is the first to claim the item, and the claim."""
        with self._lock:
            is_first = item_id not in self._claims
            return is_first, self._claims.setdefault(item_id, Claim())
