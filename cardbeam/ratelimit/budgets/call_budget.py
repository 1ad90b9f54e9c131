"""Calls that may be made at the most, for the whole run, without a service.

The budget is cut into chunks: each a 32nd of what is left, one call at the last. A worker
takes a chunk by creating its file, which only one worker can; so the chunks in use never add
up to more than the budget. A worker that has no more to send gives back what it did not use, for
who finds no chunk. What is lost: calls in hand of a worker that is killed; they are fewer than a
32nd of what was left when it took its chunk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from cardbeam.run_state.layout import BUDGET_FOLDER, run_file
from cardbeam.storage.folder import Folder

_CHUNKS_OF_WHAT_IS_LEFT = 32
_GIVEN_BACK, _TAKEN_AGAIN = "given-back-", "taken-again-"


def chunks(max_calls: int) -> Iterator[int]:
    """The sizes of all chunks of a budget, in order."""
    while max_calls > 0:
        size = max(1, max_calls // _CHUNKS_OF_WHAT_IS_LEFT)
        yield size
        max_calls -= size


class Budget:
    """Hands out calls, one at a time, to the threads of a process."""

    def __init__(
        self,
        grant: Callable[[], Iterator[int]],
        give_back: Callable[[int], object] | None = None,
        take_again: Callable[[], int] = lambda: 0,
    ) -> None:
        """`grant` gives chunks until there are no more; it is begun again where it has failed. `give_back` leaves calls
        to other workers, of whose calls `take_again` gives some."""
        self._grant, self._chunks = grant, grant()
        self._give_back, self._take_again = give_back, take_again
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

    def give_back(self) -> None:
        """Leave what is not used to the other workers: this one has no more to send for now.

        Raises:
            OSError: the store did not take it.
        """
        with self._lock:
            if self._left and self._give_back is not None:
                calls, self._left = self._left, 0  # first: a store may have taken what it says that it did not
                self._give_back(calls)

    def take_again(self) -> bool:
        """Whether another worker gave calls back; they are in this one's hand now.

        Raises:
            OSError: the store that shares the budget cannot be used.
        """
        with self._lock:
            self._left = self._left or self._take_again()
            return self._left > 0

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

    def give_back(calls: int) -> None:
        folder.create(f"{prefix}/{_GIVEN_BACK}{calls}-{new_id()}", b"")

    def take_again() -> int:
        names = [file.path.rpartition("/")[2] for file in folder.list(prefix)]
        for name in names:
            taken = f"{_TAKEN_AGAIN}{name}"
            is_free = name.startswith(_GIVEN_BACK) and taken not in names
            if is_free and folder.create(f"{prefix}/{taken}", new_id().encode()):
                return int(name.removeprefix(_GIVEN_BACK).partition("-")[0])
        return 0

    return Budget(claim, give_back, take_again)
