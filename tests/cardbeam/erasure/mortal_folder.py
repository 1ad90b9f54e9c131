"""A folder whose process is killed at a step, and a plan that is killed at each of its steps and carried out again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from cardbeam.erasure.apply_plan import apply_plan, finish_erasures
from cardbeam.erasure.plan import ErasurePlan, write_plan
from cardbeam.storage.folder import LocalFolder, StoredFile
from cardbeam.tables.check_output import check_output
from tests.cardbeam.erasure.persons import NOW


class Killed(BaseException):
    """The process is gone: no handler of errors runs on."""


@dataclass
class MortalFolder:
    """A folder whose process is killed before one of its writes, or behind it."""

    folder: LocalFolder
    left: int
    is_behind: bool = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.folder, name)

    def _step(self, work: Callable[[], Any]) -> Any:
        self.left -= 1
        if self.left == 0 and not self.is_behind:
            raise Killed
        work()
        if self.left == 0:
            raise Killed

    def write(self, path: str, content: bytes | memoryview) -> None:
        """Put a whole file in place."""
        self._step(lambda: self.folder.write(path, content))

    def delete(self, paths: Iterable[str]) -> None:
        """Remove files; each is a step."""
        for path in list(paths):
            self._step(lambda path=path: self.folder.delete([path]))

    @contextmanager
    def writer(self, path: str) -> Iterator[BinaryIO]:
        """A file to write piece by piece."""
        self._step(lambda: None)
        with self.folder.writer(path) as file:
            yield file

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Every file under a folder."""
        return self.folder.list(prefix)


def killed_at_each_step(folder: LocalFolder, plan: ErasurePlan, scratch: Path, *, is_behind: bool) -> int:
    """Whoever goes on leaves the same files as one that was not killed, byte for byte; how many steps there are."""
    write_plan(folder, plan)
    whole = LocalFolder(str(shutil.copytree(folder.root, scratch / "whole")))
    apply_plan(whole, plan, NOW)
    for step in range(1, 1000):
        killed = LocalFolder(str(shutil.copytree(folder.root, scratch / f"{step}")))
        mortal = MortalFolder(killed, step, is_behind)
        with suppress(Killed):
            apply_plan(mortal, plan, NOW)  # type: ignore[arg-type]  # a Folder by its __getattr__
        check_output(killed)
        finish_erasures(killed, NOW)
        assert state(killed) == state(whole), step
        shutil.rmtree(killed.root)
        if mortal.left > 0:
            return step
    raise AssertionError("it does not end")


def state(folder: LocalFolder) -> dict[str, bytes]:
    return {file.path: folder.read(file.path) for file in folder.list("") if not file.path.startswith("runs/lock")}
