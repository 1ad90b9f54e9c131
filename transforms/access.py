"""Whether a store that refuses one picture refuses everything: credentials run out in the middle of a run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from transforms.buckets import list_objects, object_at

_NEIGHBOURS = 3


class Access:
    """What a process knows of its access to buckets; shared by its threads."""

    def __init__(self) -> None:
        self._read_from: dict[str, str] = {}

    def note(self, uri: str) -> None:
        """A picture was read."""
        self._read_from[object_at(uri).bucket] = uri

    def is_lost(self, uri: str) -> bool:
        """After a refusal: whether other pictures are refused too. One that is alone in it is its own matter."""
        try:
            for witness in self._witnesses(uri):
                try:
                    object_at(witness).look()
                except FileNotFoundError:
                    continue
                return False
        except OSError:
            return True
        return True

    def _witnesses(self, uri: str) -> Iterator[str]:
        """Pictures to ask for in its stead: one that was read before, then others of its folder."""
        if (known := self._read_from.get(object_at(uri).bucket)) is not None and known != uri:
            yield known
        others = (listed.uri for listed in list_objects(uri.rpartition("/")[0]) if listed.uri != uri)
        yield from islice(others, _NEIGHBOURS)
