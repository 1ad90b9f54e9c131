"""Images -> the two sides of each card, by a pattern over their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from cardbeam.config.side_pattern import BACK, FRONT
from cardbeam.model.request import ImageRef


def pair_sides(images: Iterable[ImageRef], sides: re.Pattern[str]) -> Iterator[tuple[ImageRef, ...]]:
    """Each front with the back of the same name as soon as both have come; what stays alone at the end.

    Holds in memory what waits for its other side: little where names sort the sides together.
    """
    waiting: dict[tuple[str, str], ImageRef] = {}
    for image in images:
        side, name = side_of(image.uri, sides)
        other = waiting.pop((BACK if side == FRONT else FRONT, name), None)
        if side is None or (other is None and (side, name) in waiting):
            yield (image,)
        elif other is None:
            waiting[side, name] = image
        else:
            yield (image, other) if side == FRONT else (other, image)
    yield from ((image,) for image in waiting.values())


def side_of(uri: str, sides: re.Pattern[str]) -> tuple[str | None, str]:
    """Which side an image is, by the last match in its URI; and its URI without that and without its suffix."""
    matches = list(sides.finditer(uri))
    if not matches:
        return None, uri
    found = matches[-1]
    side = FRONT if found[FRONT] is not None else BACK
    start, end = found.span(side)
    name = uri[:start] + "\0" + uri[end:]
    return side, name.removesuffix(PurePosixPath(name).suffix)
