"""An output folder in a bucket, as files that DuckDB reads by ranges.

Through the folder's own store, so that credentials and endpoints are those of the runs. DuckDB's httpfs extension is
not used: it is downloaded when it is first asked for.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, BinaryIO

from fsspec import AbstractFileSystem

from transforms.storage import Folder

SCHEME = "cardbeam"


class FolderFiles(AbstractFileSystem):
    """Files of one folder under `cardbeam:/PATH`, to be read only."""

    protocol = SCHEME
    cachable = False

    def __init__(self, folder: Folder) -> None:
        super().__init__()
        self._folder = folder

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name, size and type of a file."""
        with self._folder.open(self._relative(path)) as file:
            return {"name": path, "size": file.seek(0, 2), "type": "file"}

    def modified(self, path: str) -> datetime:
        """Files are never changed while a query runs."""
        return datetime.fromtimestamp(0, timezone.utc)

    def glob(self, path: str, **_: Any) -> list[str]:
        """Every file is named whole."""
        return [path]

    def open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        """The file, for reading from anywhere in it."""
        return self._folder.open(self._relative(path))

    def _relative(self, path: str) -> str:
        return path.removeprefix(f"{SCHEME}:").lstrip("/")
