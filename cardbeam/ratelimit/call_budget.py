"""Calls that may be made at the most, for the whole run, without a service.

The budget is cut into chunks: each a 32nd of what is left, one call at the last. A worker
takes a chunk by creating its file, which only one worker can; so the chunks in use never add
up to more than the budget. What is lost: calls of a chunk in hand of a worker that is killed,
or has no more to send; they are fewer than a 32nd of what was left when it took the chunk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from cardbeam.run_state.layout import BUDGET_FOLDER, run_file
from cardbeam.storage.folder import Folder

_CHUNKS_OF_WHAT_IS_LEFT = 32


def chunks(max_calls: int) -> Iterator[int]:
    """The sizes of all chunks of a budget, in order."""
    while max_calls > 0:
        size = max(1, max_calls // _CHUNKS_OF_WHAT_IS_LEFT)
        yield size
        max_calls -= size


class Budget:
    """Hands out calls, one at a time, to the threads of a process."""

    def __init__(self, grant: Callable[[], Iterator[int]]) -> None:
        """`grant` gives chunks until there are no more; it is begun again where it has failed."""
        self._grant, self._chunks = grant, grant()
        self._left = 0
        self._lock = threading.Lock()

    def acquire(self) -> bool:
        """Whether one more call may be made; it then counts as made.

        Raises:
            OSError: the store that shares the budget cannot be used.
        """
        with self._lock:
            self._left = self._left or self._next_chunk()
            if not self._left:
                return False
            self._left -= 1
            return True

    def release(self) -> None:
        """A call that was taken is not made."""
        with self._lock:
            self._left += 1

    def _next_chunk(self) -> int:
        try:
            return next(self._chunks, 0)
        except OSError:
            self._chunks = self._grant()  # a generator that has failed is at its end: the budget would seem to be
            raise


def endless() -> Budget:
    """No bound on the calls."""
    return Budget(lambda: iter(lambda: 1_000_000_000, 0))


def of_one(max_calls: int) -> Budget:
    """The whole budget, for a worker that is alone."""
    return Budget(lambda: iter((max_calls,)))


def shared(folder: Folder, run_id: str, session: str, max_calls: int, new_id: Callable[[], str]) -> Budget:
    """A worker's part of a budget that all workers of a session of the run take from."""
    prefix = run_file(run_id, f"{BUDGET_FOLDER}/{session}")

    def claim() -> Iterator[int]:
        taken = {file.path for file in folder.list(prefix)}
        for number, size in enumerate(chunks(max_calls)):
            path = f"{prefix}/{number:06d}"
            if path not in taken and folder.create(path, new_id().encode()):
                yield size

    return Budget(claim)
