"""The output folder: whole files in, whole files out, on a local disk or in a bucket.

A file is there whole or not at all: local files are renamed into place, objects appear
with their last byte. Nothing else is asked of a store, so every store serves.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from cardbeam.storage.errors import StoreError
from cardbeam.storage.object_store import BUCKET_SCHEMES, Object, delete_objects, is_in_bucket, list_objects, object_at
from cardbeam.storage.range_reader import open_object
from cardbeam.storage.uris import local_path

TEMPORARY_SUFFIX = ".tmp"
PRIVATE = 0o600
"""Permissions of local files, unless told otherwise: they hold card text."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of the output folder; `path` is relative to the folder."""

    path: str
    size_bytes: int


class Files(Protocol):
    """Where files are written piece by piece and read, by paths relative to some folder."""

    @property
    def is_local(self) -> bool:
        """Whether they are on a disk of this machine, where they can be appended to and flushed."""

    def writer(self, path: str) -> AbstractContextManager[BinaryIO]:
        """A file to write piece by piece; it is in place, whole, once the block has ended without an error."""

    def open(self, path: str) -> BinaryIO:
        """A file to read from anywhere in it."""


class Folder(Files, Protocol):
    """What the pipeline needs of its output, by paths relative to the folder."""

    @property
    def root(self) -> str:
        """Path or URI of the folder."""

    @property
    def file_mode(self) -> int:
        """Permissions of local files; a bucket has its own rules."""

    def write(self, path: str, content: bytes | memoryview) -> None:
        """Put a whole file in place, over one that is there."""

    def create(self, path: str, content: bytes) -> bool:
        """Put a whole file in place only if there is none yet: whether it was put.

        Of several that try at once, one succeeds. The content must be its writer's own (hold an id,
        say): a bucket whose response was lost tells by it whose file is there.
        """

    def read(self, path: str) -> bytes:
        """The whole file; FileNotFoundError where there is none."""

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Every file under a folder, at any depth, in the order of paths; none where it does not exist.

        Raises:
            OSError: it cannot be listed; to take it for empty would be to pay for all of it again.
        """

    def delete(self, paths: Iterable[str]) -> None:
        """Remove files; one that is gone already is no error."""


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A folder on a local or mounted disk."""

    root: str
    is_local: bool = True
    file_mode: int = PRIVATE

    def _at(self, path: str) -> Path:
        return Path(self.root, path)

    def _beside(self, target: Path) -> Path:
        """A name in the target's folder, which is there then."""
        make_folder(target.parent, self.file_mode)
        return temporary_path(target)

    def _write_beside(self, target: Path, content: bytes | memoryview) -> Path:
        """A file with the content, on disk, in the target's folder."""
        beside = self._beside(target)
        with create_file(beside, self.file_mode) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return beside

    def write(self, path: str, content: bytes | memoryview) -> None:
        """Write beside, flush to disk, rename into place."""
        _put_in_place(self._write_beside(self._at(path), content), self._at(path))

    @contextmanager
    def writer(self, path: str) -> Iterator[BinaryIO]:
        """Write beside, flush to disk, rename into place."""
        beside = self._beside(self._at(path))
        try:
            with create_file(beside, self.file_mode) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _put_in_place(beside, self._at(path))
        finally:
            beside.unlink(missing_ok=True)

    def create(self, path: str, content: bytes) -> bool:
        """Write beside, flush to disk, link into place: a link, other than a rename, replaces nothing."""
        beside = self._write_beside(self._at(path), content)
        try:
            os.link(beside, self._at(path))
        except FileExistsError:
            return False
        finally:
            beside.unlink()
        sync_folder(self._at(path).parent)
        return True

    def read(self, path: str) -> bytes:
        """The whole file."""
        return self._at(path).read_bytes()

    def open(self, path: str) -> BinaryIO:
        """The file itself."""
        return self._at(path).open("rb")

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Walk the folder."""
        for folder, folders, names in os.walk(self._at(prefix), onerror=_unless_gone):
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
            with suppress(OSError):  # not empty, or gone already
                parent.rmdir()


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def make_folder(path: Path, file_mode: int = PRIVATE) -> None:
    """Make a folder and those above it that are missing, each durable, for who may read files of that mode."""
    if path.is_dir():
        return
    try:
        _make_one(path, file_mode)
    except FileNotFoundError:
        make_folder(path.parent, file_mode)
        _make_one(path, file_mode)
    sync_folder(path.parent)


def _make_one(path: Path, file_mode: int) -> None:
    mode = file_mode | (file_mode & 0o444) >> 2  # who may read may enter
    try:
        path.mkdir(mode)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    path.chmod(mode)  # whatever the umask says


def create_file(path: Path, file_mode: int, buffering: int = -1) -> BinaryIO:
    """A file that is not there yet, to be written by its owner, whatever the umask says."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    if file_mode != PRIVATE:
        os.fchmod(descriptor, file_mode)
    return os.fdopen(descriptor, "wb", buffering)


def sync_folder(path: Path) -> None:
    """Make names in a folder durable: to flush a file to disk does not."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary_path(target: Path) -> Path:
    """A name in a file's folder for what is to become the file."""
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")


def _put_in_place(beside: Path, target: Path) -> None:
    beside.replace(target)
    sync_folder(target.parent)


@dataclass(frozen=True, slots=True)
class BucketFolder:
    """A prefix of a bucket: one object a file, each put in one request, so that none is ever there in part."""

    root: str
    is_local: bool = False
    file_mode: int = PRIVATE

    def _at(self, path: str) -> Object:
        return object_at(f"{self.root}/{path}")

    def write(self, path: str, content: bytes | memoryview) -> None:
        """One request. Uploads in parts would leave parts behind in a crash, unseen and paid for."""
        self._at(path).put(content)

    @contextmanager
    def writer(self, path: str) -> Iterator[BinaryIO]:
        """Write to the machine's disk, then one request."""
        with tempfile.TemporaryFile() as file:
            yield cast(BinaryIO, file)
            file.seek(0)
            self.write(path, file.read())

    def create(self, path: str, content: bytes) -> bool:
        """Put on the condition that there is none.

        Where a response was lost and the request sent again, our own content is there already.
        """
        if self._at(path).put_if_none(content):
            return True
        with suppress(FileNotFoundError):  # somebody's, and gone since
            return self.read(path) == content
        return False

    def read(self, path: str) -> bytes:
        """The whole object."""
        return self._at(path).read()

    def open(self, path: str) -> BinaryIO:
        """The object by ranges."""
        return open_object(self._at(path))

    def list(self, prefix: str) -> Iterator[StoredFile]:
        """List the prefix."""
        start = len(f"{self.root}/")
        found = [StoredFile(one.uri[start:], one.size_bytes) for one in list_objects(f"{self.root}/{prefix}")]
        yield from sorted(found, key=attrgetter("path"))

    def delete(self, paths: Iterable[str]) -> None:
        """Delete objects, in one request where the store can."""
        delete_objects(f"{self.root}/{path}" for path in paths)


def open_folder(root: str, file_mode: int = PRIVATE) -> Folder:
    """The output folder at a path or URI; `file_mode` is for files and folders that are made in a local one.

    Raises:
        StoreError: the URI is of a scheme that cannot hold an output.
    """
    if (local := local_path(root)) is not None:
        return LocalFolder(str(local), file_mode=file_mode)
    if not is_in_bucket(root):
        raise StoreError(f"{root}: expected a path, or a URI of {', '.join(BUCKET_SCHEMES)}")
    return BucketFolder(root.rstrip("/"))
