"""Images that are dropped into a folder over some time, and when the row of each was first in a table."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from cardbeam.run_state.receipt import read_receipt
from cardbeam.storage.folder import Folder
from pipeline.runs.registry import ended_runs

TABLE = "documents/type=passport"
LOOK_S = 0.25


@dataclass
class Seen:
    """When the row of each image was first in a table, as a reader of the receipts sees it."""

    folder: Folder
    at_s: dict[str, float] = field(default_factory=dict)
    largest_files: int = 0
    _read: set[str] = field(default_factory=set)

    def poll(self) -> None:
        """Read the files that are new in the receipts."""
        receipts = [read_receipt(self.folder, run_id) for run_id in ended_runs(self.folder)]
        paths = [file["path"] for one in receipts if one for file in one.files if file["path"].startswith(TABLE)]
        self.largest_files = max(self.largest_files, len(paths))
        for path in set(paths) - self._read:
            with suppress(FileNotFoundError), self.folder.open(path) as file:
                rows = pq.ParquetFile(file).read(["uris"]).to_pylist()
                self._read.add(path)
                for row in rows:
                    self.at_s.setdefault(Path(row["uris"][0]).name, time.monotonic())


def drop(images: Sequence[Path], folder: Path, over_s: float, dropped: dict[str, float]) -> None:
    """Copy images into a folder over some time, and note when each came."""
    began_s = time.monotonic()
    for number, image in enumerate(images):
        sleep_until(began_s + over_s * number / len(images))
        shutil.copyfile(image, folder / image.name)
        dropped[image.name] = time.monotonic()


def sleep_until(at_s: float) -> None:
    """On the monotonic clock."""
    time.sleep(max(0.0, at_s - time.monotonic()))


@contextmanager
def beside(work: Callable[[], None]) -> Iterator[None]:
    """Do something once beside the block, and wait for its end."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    thread.join()


@contextmanager
def beside_again(poll: Callable[[], None]) -> Iterator[None]:
    """Do something again and again beside the block."""
    over = threading.Event()

    def polls() -> None:
        while not over.wait(LOOK_S):
            poll()

    with beside(polls):
        try:
            yield
        finally:
            over.set()
