"""An output folder in a bucket, as files that DuckDB reads by ranges.

Through the folder's own store, so that credentials and endpoints are those of the runs. DuckDB's httpfs extension is
not used: it is downloaded when it is first asked for.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from functools import partial
from typing import Any, BinaryIO

from fsspec import AbstractFileSystem

from cardbeam.run_state.layout import table_of
from cardbeam.storage.folder import Folder
from cardbeam.storage.object_store import Object, object_at
from cardbeam.storage.range_reader import open_object, read_end

SCHEME = "cardbeam"
_READ_AT_ONCE = 64


class FolderFiles(AbstractFileSystem):
    """Files of one folder under `cardbeam:/PATH`, to be read only."""

    protocol = SCHEME
    cachable = False

    def __init__(self, folder: Folder, sizes_bytes: Mapping[str, int]) -> None:
        super().__init__()
        self._folder, self._sizes_bytes = folder, sizes_bytes
        self._ends = _Ends(self._at, sizes_bytes)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name, size and type of a file; nobody is asked, for receipt or listing told it."""
        return {"name": path, "size": self._sizes_bytes[self._relative(path)], "type": "file"}

    def modified(self, path: str) -> datetime:
        """Files are never changed while a query runs."""
        return datetime.fromtimestamp(0, timezone.utc)

    def glob(self, path: str, **_: Any) -> list[str]:
        """Every file is named whole."""
        return [path]

    def open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        """The file, for reading from anywhere in it."""
        name = self._relative(path)
        return open_object(self._at(name), self._sizes_bytes[name], partial(self._ends.read, name))

    def _at(self, name: str) -> Object:
        return object_at(f"{self._folder.root}/{name}")

    def _relative(self, path: str) -> str:
        return path.removeprefix(f"{SCHEME}:").lstrip("/")


class _Ends:
    """The ends of files, which hold what a Parquet reader needs first. DuckDB asks for a few at a time, too slow for
    years of runs: whoever asks for one after the other gets the next ones read meanwhile, more and more at once."""

    def __init__(self, at: Callable[[str], Object], sizes_bytes: Mapping[str, int]) -> None:
        self._at, self._sizes_bytes = at, sizes_bytes
        self._names = list(sizes_bytes)
        self._places = {name: place for place, name in enumerate(self._names)}
        self._lock = threading.Lock()
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._next, self._at_once = -1, 1

    def read(self, name: str) -> bytes:
        """The end of a file."""
        with self._lock:
            if (end := self._held.pop(name, None)) is not None:
                return end
            place = self._places[name]
            self._at_once = min(_READ_AT_ONCE, 2 * self._at_once) if place == self._next else 1
            names = [one for one in self._names[place : place + self._at_once] if table_of(one) == table_of(name)]
            self._next = place + len(names)
            with ThreadPoolExecutor(len(names)) as pool:
                asked, *ahead = (pool.submit(self._read_end, one) for one in names)
            for one, read in zip(names[1:], ahead, strict=True):
                if read.exception() is None:  # whoever asks for one that failed is told then
                    self._held[one] = read.result()
            while len(self._held) > _READ_AT_ONCE:
                self._held.popitem(last=False)
            return asked.result()

    def _read_end(self, name: str) -> bytes:
        return read_end(self._at(name), self._sizes_bytes[name])
