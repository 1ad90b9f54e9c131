"""A random, repeatable sample of the inputs: the same images for the same inputs, whatever order they come in.

The requests are ranked by a hash of their URIs, and the first ones taken: so a larger sample holds a smaller one, whose
answers are paid for already.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from cardbeam.config.settings import InputSettings
from cardbeam.inputs.listing import list_requests, unless_empty
from cardbeam.model.request import Request


def sample_requests(requests: Iterable[Request], size: int) -> list[Request]:
    """So many of the requests, or all if there are fewer; holds no more of them in memory."""
    return heapq.nsmallest(size, requests, key=_rank)


def _rank(request: Request) -> bytes:
    return hashlib.sha256("\n".join(request.uris).encode(errors="surrogateescape")).digest()


def list_all(sources: Sequence[str], settings: InputSettings) -> Iterator[Request]:
    """The requests of all inputs, or the sample of them that is asked for.

    Raises:
        SourceError: an input cannot be listed or read, or holds nothing.
    """
    listed = (unless_empty(source, list_requests(source, settings), settings) for source in sources)
    requests = chain.from_iterable(listed)
    yield from sample_requests(requests, settings.sample) if settings.sample else requests
