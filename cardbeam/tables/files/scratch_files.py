"""Files that no name leads to: what a process has written in them is gone with it, however it ends."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, cast


class ScratchFiles(ExitStack):
    """A scratch place on this machine's disk, for rows that wait to be written elsewhere."""

    is_local = True

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[str, BinaryIO] = {}

    @contextmanager
    def writer(self, path: str) -> Iterator[BinaryIO]:
        """A file to write piece by piece."""
        file = self.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # it is closed with all others
        self._files[path] = cast(BinaryIO, file)
        yield self._files[path]
        self._files[path].flush()

    def open(self, path: str) -> BinaryIO:
        """What was written, from its start."""
        file = os.fdopen(os.dup(self._files[path].fileno()), "rb")
        file.seek(0)
        return file
