"""Whether a store that refuses one image refuses everything: credentials run out in the middle of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from cardbeam.storage.object_store import list_objects, object_at

_NEIGHBOURS = 3
_WITNESSES = 3
_ENOUGH = 3
"""So many different images are refused before it is taken that all are, where none was read before."""


def _check(uri: str) -> object:
    return object_at(uri).head()


def _list(folder: str) -> Iterable[str]:
    return (listed.uri for listed in list_objects(folder))


class AccessCheck:
    """What a process knows of its access to buckets; shared by its threads. It asks `head` of an object, and `list`."""

    def __init__(
        self, check: Callable[[str], object] = _check, list_folder: Callable[[str], Iterable[str]] = _list
    ) -> None:
        self._check, self._list_folder = check, list_folder
        self._read_from: dict[str, tuple[str, ...]] = {}
        """The last two images of each bucket."""
        self._refused: set[str] = set()

    def record(self, uri: str) -> None:
        """An image was read."""
        bucket = object_at(uri).bucket
        last = self._read_from.get(bucket, ())[:1]
        if uri not in last:
            self._read_from[bucket] = (uri, *last)
        if self._refused:
            self._refused = set()

    def credentials_revoked(self, uri: str) -> bool:
        """After a refusal: whether other images are refused too. One that is alone in it is its own matter."""
        self._refused.add(uri)
        was_readable = self._can_read(self._probe_objects(uri))
        if was_readable is not None:
            return not was_readable
        return not self._can_read(self._neighbours(uri)) and len(self._refused) >= _ENOUGH

    def _can_read(self, uris: Iterable[str]) -> bool | None:
        """Whether any of these can be read; None where none is there to be asked for, or can be listed."""
        can_read = None
        try:
            for uri in uris:
                try:
                    self._check(uri)
                except FileNotFoundError:
                    continue
                except OSError:
                    can_read = False
                    self._refused.add(uri)
                else:
                    return True
        except OSError:
            pass  # the listing is refused: it tells nothing of the images
        return can_read

    def _probe_objects(self, uri: str) -> list[str]:
        """Images that were read before: of its bucket first, then of others, for credentials may be for one alone."""
        bucket = object_at(uri).bucket
        known = sorted(self._read_from.items(), key=lambda one: one[0] != bucket)
        return [one for _, read in known[:_WITNESSES] for one in read if one != uri]

    def _neighbours(self, uri: str) -> Iterator[str]:
        others = (one for one in self._list_folder(uri.rpartition("/")[0]) if one != uri)
        yield from islice(others, _NEIGHBOURS)
