"""A run that has not ended -> its tables so far, made beside the output as `publish` makes them in it.

What a run answered is in its journal until its tables are made, at its end or at the next launch. A reader must not
publish: another process may be at it. So all that the publisher writes goes to a private folder of the reader's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import BinaryIO

from cardbeam.config.settings import EndpointSettings, InputSettings, OutputSettings, RateSettings, Settings
from cardbeam.journal.reader import list_segments
from cardbeam.run_state.layout import JOURNAL, run_id_of
from cardbeam.storage.folder import Folder, LocalFolder, StoredFile
from cardbeam.tables.publisher import Publisher
from pipeline.runs.recovery import unfinished_runs

_ATTEMPTS = 3
_ANY_TIME = datetime.fromtimestamp(0, timezone.utc)


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file of an unfinished run's tables, by its path in the output or in the folder beside it."""

    path: str
    size_bytes: int
    is_beside: bool


def runs_in_journal(folder: Folder) -> list[str]:
    """The runs whose newest answers are in the journal, and in no table yet."""
    journals = {run_id_of(file.path) for file in list_segments(folder, JOURNAL)}
    return [run_id for run_id in unfinished_runs(folder) if run_id in journals] if journals else []


def make_tables(folder: Folder, run_id: str, beside: LocalFolder) -> list[MadeFile]:
    """Make a run's tables of all that its ledger and journal hold by now; all of its files.

    Raises:
        DamagedFile: a ledger file cannot be read.
        OSError: a file cannot be read or written.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return _made(folder, run_id, beside)
        except FileNotFoundError:
            continue  # the run publishes what it answered, and removes it from the journal
    return _made(folder, run_id, beside)


def _made(folder: Folder, run_id: str, beside: LocalFolder) -> list[MadeFile]:
    output = OutputSettings(folder.root, run_id)
    settings = Settings(InputSettings(), EndpointSettings(), RateSettings(), output)
    publisher = Publisher(_Overlay(folder, beside), settings, _ANY_TIME)
    publisher.publish_all()
    made = {file.path for file in beside.list("")}
    return [MadeFile(file.path, file.size_bytes, file.path in made) for file in publisher.files() if file.rows]


@dataclass(frozen=True, slots=True)
class _Overlay:
    """An output folder that is read, with a folder above it that takes whatever is written."""

    below: Folder
    above: LocalFolder
    is_local: bool = True

    @property
    def root(self) -> str:
        """That of the output."""
        return self.below.root

    @property
    def file_mode(self) -> int:
        """Of what is written."""
        return self.above.file_mode

    def write(self, path: str, content: bytes | memoryview) -> None:
        """Into the folder above."""
        self.above.write(path, content)

    def writer(self, path: str) -> AbstractContextManager[BinaryIO]:
        """Into the folder above."""
        return self.above.writer(path)

    def create(self, path: str, content: bytes) -> bool:
        """Into the folder above."""
        return self.above.create(path, content)

    def read(self, path: str) -> bytes:
        """What was written here, else the output's."""
        with self.open(path) as file:
            return file.read()

    def open(self, path: str) -> BinaryIO:
        """What was written here, else the output's."""
        try:
            return self.above.open(path)
        except FileNotFoundError:
            return self.below.open(path)

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """The output's files alone: what is made of them is no input."""
        return self.below.list(prefix)

    def delete(self, paths: Iterable[str]) -> None:
        """What was written here; nothing of the output."""
        self.above.delete(paths)
