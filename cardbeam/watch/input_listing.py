"""One listing of all inputs after another: one that cannot be listed does not stop the others.

An input that fails is logged once, and again when it can be listed again, however often it is tried in between.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from cardbeam.config.settings import InputSettings
from cardbeam.inputs.listing import list_requests
from cardbeam.model.request import Request
from cardbeam.storage.errors import StoreRefused
from cardbeam.storage.globs import is_glob
from cardbeam.storage.open_uri import SourceError
from cardbeam.storage.uris import local_path

_LOG = logging.getLogger("cardbeam")


class InputListing:
    """Lists the inputs, and knows which of them could not be listed and since when."""

    def __init__(self, inputs: InputSettings, clock: Callable[[], float]) -> None:
        self._inputs, self._clock = inputs, clock
        self._failing_since_s: dict[str, float] = {}
        self.is_refused = False
        """Whether a store refused our credentials in the last listing."""

    @property
    def is_whole(self) -> bool:
        """Whether the last listing showed all that is there."""
        return not self._failing_since_s

    @property
    def failing(self) -> list[str]:
        """The inputs that could not be listed."""
        return sorted(self._failing_since_s)

    def requests(self) -> Iterator[Request]:
        """What each input asks for, one input after the other."""
        self.is_refused = False
        for source in self._inputs.input:
            try:
                _require_folder(source)
                yield from list_requests(source, self._inputs)
            except (SourceError, OSError) as error:  # a store that is away, or a folder, comes back
                self._fail(source, error)
            else:
                self._succeed(source)

    def _fail(self, source: str, error: SourceError | OSError) -> None:
        self.is_refused = self.is_refused or isinstance(error.__cause__ or error, StoreRefused)
        if source not in self._failing_since_s:
            self._failing_since_s[source] = self._clock()
            _LOG.warning("input cannot be listed, and is tried again: %s", error)

    def _succeed(self, source: str) -> None:
        since_s = self._failing_since_s.pop(source, None)
        if since_s is not None:
            after = timedelta(seconds=round(self._clock() - since_s))
            _LOG.info("input can be listed again, after %s: --input %s", after, source)


def _require_folder(source: str) -> None:
    """A folder that was unmounted or removed is not an empty one.

    Raises:
        SourceError: the folder of a local input does not exist.
    """
    path = local_path(source)
    if path is None or path.exists():
        return
    folder = next((parent for parent in path.parents if not is_glob(str(parent))), Path("/"))
    missing = folder if is_glob(str(path)) else path
    if not missing.exists():
        raise SourceError(f"--input {source}: {missing} does not exist")
