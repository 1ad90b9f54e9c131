"""How long each side of a card has waited for the other, counted from when a listing first showed it.

A side that has waited long enough is processed alone. Launches may follow each other faster than that, so the times are
kept in the output folder, beside the runs. The file holds the sides that wait now, the longest waiting first, up to a
bound; a side beyond it counts from the launch.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import orjson

from cardbeam.run_state.layout import RUNS
from cardbeam.storage.folder import Folder

UNPAIRED_FILE = f"{RUNS}/unpaired.json"
MAX_KEPT = 10_000
Uris = tuple[str, ...]


class UnpairedSides:
    """The sides that wait for the other, with when each was first listed; for one thread.

    Times within a process go by `clock`, which does not jump; `now_s` is for what another process reads.
    """

    def __init__(self, folder: Folder, clock: Callable[[], float], now_s: Callable[[], float]) -> None:
        self._folder, self._clock, self._now_s = folder, clock, now_s
        self._since: dict[Uris, tuple[float, float]] = {}
        """By `clock` and by `now_s`."""
        self._listed: set[Uris] = set()
        self._written = b""

    def __len__(self) -> int:
        return len(self._since)

    def load(self) -> None:
        """Take over the times that an earlier process kept. A time to come, from a clock that went wrong, is now."""
        with suppress(OSError):  # not there; or the store is away: then they count from now
            self._written = self._folder.read(UNPAIRED_FILE)
        clock_s, now_s = self._clock(), self._now_s()
        for since_s, uris in _decode(self._written):
            self._since[uris] = (clock_s - max(0.0, now_s - since_s), min(since_s, now_s))

    def begin_listing(self) -> None:
        """From now on a listing shows which sides are there."""
        self._listed = set()

    def waited_s(self, uris: Uris) -> float:
        """How long a side that the listing shows has waited."""
        clock_s = self._clock()
        self._listed.add(uris)
        since_s, _ = self._since.setdefault(uris, (clock_s, self._now_s()))
        return clock_s - since_s

    def end_listing(self, *, is_whole: bool) -> None:
        """Forget the sides that a whole listing did not show: paired, processed, or gone. Keep the others' times.

        Raises:
            OSError: the file cannot be written.
        """
        if is_whole:
            self._since = {uris: since for uris, since in self._since.items() if uris in self._listed}
        longest = sorted(self._since.items(), key=lambda one: (one[1][1], one[0]))[:MAX_KEPT]
        content = orjson.dumps([[since_s, *uris] for uris, (_, since_s) in longest])
        if content == self._written or (not longest and not self._written):
            return
        self._folder.write(UNPAIRED_FILE, content)
        self._written = content


def _decode(content: bytes) -> list[tuple[float, Uris]]:
    """What the file holds; nothing where it is missing or damaged: then the sides wait from now on."""
    try:
        rows = orjson.loads(content)
    except orjson.JSONDecodeError:
        return []
    return [(row[0], tuple(row[1:])) for row in rows if _is_row(row)] if isinstance(rows, list) else []


def _is_row(row: object) -> bool:
    return isinstance(row, list) and [type(one) for one in row] == [float, *[str] * (len(row) - 1)] and len(row) > 1
