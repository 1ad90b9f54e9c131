"""Lists what only Beam's filesystems know: hdfs and whatever else a runner brings."""

from __future__ import annotations

from collections.abc import Iterator

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from cardbeam.model.request import ImageRef
from cardbeam.storage.filesystems.other_files import list_with
from cardbeam.storage.filesystems.protocol import NotListed


def list_by_beam(pattern: str) -> Iterator[ImageRef]:
    """Every file that a pattern matches, with size and time of change.

    Raises:
        NotListed: the filesystem is not known to Beam, or cannot be listed.
    """
    try:
        (matched,) = FileSystems.match([pattern])
    except (BeamIOError, ValueError, OSError, ImportError) as error:
        raise NotListed(_reason(error)) from error
    for found in matched.metadata_list:
        changed_s = found.last_updated_in_seconds
        yield ImageRef(found.path, found.size_in_bytes, str(changed_s), changed_s or None)


def _reason(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def use_beam_files() -> None:
    """Have this process list by Beam what cardbeam does not know itself."""
    list_with(list_by_beam)
