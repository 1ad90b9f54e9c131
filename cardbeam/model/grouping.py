"""Which requests go through a shuffle together: likely duplicates, in a bounded number of groups."""

from __future__ import annotations

import zlib

from cardbeam.model.request import Request


def key_of(request: Request, *, by_source: bool) -> str:
    """What duplicates share; an image of unknown size can only be told from others by its URI."""
    sizes = [image.size_bytes for image in request.images]
    if by_source or None in sizes:
        return request.fallback_id
    return "-".join(map(str, sizes))


GROUPS = 4096
"""Into so many, requests are spread: enough that dozens of workers get even parts of them, and few enough that packs of
a large run are full."""


def group_of(key: str) -> str:
    """The group of what shares a key: the same on every worker."""
    return str(zlib.crc32(key.encode()) % GROUPS)


def group_key(batch: str, key: str) -> str:
    """The key of a group of likely duplicates in a batch."""
    return f"{batch}/{key}"


def batch_of(group: str) -> str:
    """The batch that a group was dispatched with."""
    return group.partition("/")[0]


_GROUP_DIGITS = 3


def content_group(item_id: str, image_bytes: int | None) -> str:
    """The group of an item in the index: that of requests of the same size, as they are shuffled.

    Of an item whose images were not read the id tells it.
    """
    return f"{int(group_of(str(image_bytes) if image_bytes else item_id)):0{_GROUP_DIGITS}x}"
