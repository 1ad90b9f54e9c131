"""What a worker writes down of the groups of its bundles, for the other workers of the run: one object a worker.

It grows with each change, so that its size tells whether it is another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from cardbeam.run_state.layout import run_file
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import Folder

GROUPS = "groups"
_WORKER = re.compile("[0-9a-f]{32}")


class Token(NamedTuple):
    """A bundle: of two that begin a group, the higher owns it."""

    number: int
    worker: str


@dataclass(slots=True)
class Entry:
    """A bundle in a log."""

    groups: set[str] = field(default_factory=set)
    """What it has begun."""
    released: set[str] = field(default_factory=set)
    """What it sends nothing more of, for another bundle has begun it."""
    is_finished: bool = False
    """Whether it sends nothing more at all."""


class GroupLogs:
    """The logs of a run."""

    def __init__(self, folder: Folder, run_id: str, worker: str) -> None:
        self._folder, self._path, self._worker = folder, run_file(run_id, GROUPS), worker
        self._sizes: dict[str, int] = {}
        self._beat_count = 0

    def write(self, entries: dict[Token, Entry], *, is_sign_of_life: bool = False) -> None:
        """Put this worker's log in place.

        Raises:
            OSError: the store did not take it.
        """
        self._beat_count += is_sign_of_life
        bundles = [
            [token.number, sorted(entry.groups), sorted(entry.released), *([True] if entry.is_finished else [])]
            for token, entry in entries.items()
        ]
        self._folder.write(f"{self._path}/{self._worker}", orjson.dumps([bundles, "." * self._beat_count]))

    def read(self) -> Iterator[tuple[str, dict[Token, Entry]]]:
        """The logs of other workers that changed since the last time.

        Raises:
            DamagedFile: one is no log.
            OSError: they cannot be read.
        """
        for file in self._folder.list(self._path):
            worker = file.path.rpartition("/")[2]
            is_log = _WORKER.fullmatch(worker) is not None and worker != self._worker
            if is_log and self._sizes.get(worker) != file.size_bytes:
                try:
                    content = self._folder.read(file.path)
                except FileNotFoundError:  # the run has ended since, and took the logs away
                    continue
                yield worker, _decode(file.path, worker, content)
                self._sizes[worker] = file.size_bytes


def _decode(path: str, worker: str, content: bytes) -> dict[Token, Entry]:
    try:
        bundles, _ = orjson.loads(content)
        return {
            Token(number, worker): Entry(set(groups), set(released), bool(over))
            for number, groups, released, *over in bundles
        }
    except (ValueError, TypeError) as error:
        raise DamagedFile.of(path, "is no log of groups") from error
