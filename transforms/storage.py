"""The output folder: whole files in, whole files out, on a local disk or in a bucket.

A file is there whole or not at all: local files are renamed into place, objects appear
with their last byte. Nothing else is asked of a store, so every store serves.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.sources import local_path

TEMPORARY_SUFFIX = ".tmp"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of the output folder; `path` is relative to the folder."""

    path: str
    size_bytes: int


class Folder(Protocol):
    """What the pipeline needs of its output, by paths relative to the folder."""

    @property
    def root(self) -> str:
        """Path or URI of the folder."""

    @property
    def is_local(self) -> bool:
        """Whether files can be appended to and flushed to a disk."""

    def write(self, path: str, content: bytes) -> None:
        """Put a whole file in place, over one that is there."""

    def read(self, path: str) -> bytes:
        """The whole file; FileNotFoundError where there is none."""

    def open(self, path: str) -> BinaryIO:
        """A file to read from anywhere in it."""

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Every file under a folder, at any depth, in the order of paths; none where it does not exist."""

    def delete(self, paths: Iterable[str]) -> None:
        """Remove files; one that is gone already is no error."""


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A folder on a local or mounted disk."""

    root: str
    is_local: bool = True

    def _at(self, path: str) -> Path:
        return Path(self.root, path)

    def write(self, path: str, content: bytes) -> None:
        """Write beside, flush to disk, rename into place."""
        target = self._at(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)

    def read(self, path: str) -> bytes:
        """The whole file."""
        return self._at(path).read_bytes()

    def open(self, path: str) -> BinaryIO:
        """The file itself."""
        return self._at(path).open("rb")

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Walk the folder."""
        for folder, folders, names in os.walk(self._at(prefix)):
            folders.sort()
            for name in sorted(names):
                path = Path(folder, name)
                try:
                    size_bytes = path.stat().st_size
                except FileNotFoundError:
                    continue  # renamed or removed since it was listed
                yield StoredFile(path.relative_to(self.root).as_posix(), size_bytes)

    def delete(self, paths: Iterable[str]) -> None:
        """Unlink, then drop the folders that this left empty."""
        parents = set()
        for path in paths:
            self._at(path).unlink(missing_ok=True)
            parents.add(self._at(path).parent)
        for parent in sorted(parents, key=lambda folder: len(folder.parts), reverse=True):
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()


@dataclass(frozen=True, slots=True)
class BeamFolder:
    """A folder of a bucket, through the filesystems that Beam's workers already have."""

    root: str
    is_local: bool = False

    def _at(self, path: str) -> str:
        return f"{self.root.rstrip('/')}/{path}"

    def write(self, path: str, content: bytes) -> None:
        """One object, which appears when it is closed."""
        with FileSystems.create(self._at(path), compression_type=CompressionTypes.UNCOMPRESSED) as file:
            file.write(content)

    def read(self, path: str) -> bytes:
        """The whole object."""
        if not FileSystems.exists(self._at(path)):
            raise FileNotFoundError(self._at(path))
        with FileSystems.open(self._at(path), compression_type=CompressionTypes.UNCOMPRESSED) as file:
            return bytes(file.read())

    def open(self, path: str) -> BinaryIO:
        """The object by ranges."""
        return cast(BinaryIO, FileSystems.open(self._at(path), compression_type=CompressionTypes.UNCOMPRESSED))

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """List the prefix."""
        start = len(self._at(""))
        (matched,) = FileSystems.match([self._at(prefix).rstrip("/") + "/**"])
        for found in sorted(matched.metadata_list, key=lambda found: str(found.path)):
            yield StoredFile(found.path[start:], found.size_in_bytes)

    def delete(self, paths: Iterable[str]) -> None:
        """Delete objects, in one request where the store can."""
        full = [self._at(path) for path in paths]
        try:
            FileSystems.delete(full)
        except BeamIOError:
            if left := [path for path in full if FileSystems.exists(path)]:
                raise OSError(f"{len(left)} objects could not be deleted, the first is {left[0]}") from None


def open_folder(root: str) -> Folder:
    """The output folder at a path or URI."""
    local = local_path(root)
    return LocalFolder(str(local)) if local is not None else BeamFolder(root)
