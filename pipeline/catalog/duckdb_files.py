"""An output folder in a bucket, as files that DuckDB reads by ranges.

Through the folder's own store, so that credentials and endpoints are those of the runs. DuckDB's httpfs extension is
not used: it is downloaded when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, BinaryIO

from fsspec import AbstractFileSystem

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
        self._ends: dict[str, bytes] = {}

    @contextmanager
    def read_ends(self) -> Iterator[None]:
        """Within it the ends of all files are there: DuckDB asks for a few at a time, too slow for a year of runs."""
        with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
            ends = pool.map(lambda file: read_end(self._at(file[0]), file[1]), self._sizes_bytes.items())
            self._ends = dict(zip(self._sizes_bytes, ends, strict=True))
        yield
        self._ends = {}

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
        return open_object(self._at(name), self._sizes_bytes[name], self._ends.get(name, b""))

    def _at(self, name: str) -> Object:
        return object_at(f"{self._folder.root}/{name}")

    def _relative(self, path: str) -> str:
        return path.removeprefix(f"{SCHEME}:").lstrip("/")
