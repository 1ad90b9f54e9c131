"""Copies of one picture that meet in a run: the first goes ahead, the others take its fate."""

from __future__ import annotations

import threading

from transforms.elements import Fate


class Claim:
    """One item's fate, known when its first request is settled."""

    def __init__(self) -> None:
        self._settled = threading.Event()
        self._fate = Fate.DEFERRED

    def settle(self, fate: Fate) -> None:
        """Say what came of the first request."""
        self._fate = fate
        self._settled.set()

    def wait(self) -> Fate:
        """What came of the first request; waits until it is known."""
        self._settled.wait()
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
