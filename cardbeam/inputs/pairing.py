"""Pictures -> the two sides of each card, by a pattern over their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from cardbeam.config.side_pattern import BACK, FRONT
from cardbeam.model.request import Picture


def pair_sides(pictures: Iterable[Picture], sides: re.Pattern[str]) -> Iterator[tuple[Picture, ...]]:
    """Each front with the back of the same name as soon as both have come; what stays alone at the end.

    Holds in memory what waits for its other side: little where names sort the sides together.
    """
    waiting: dict[tuple[str, str], Picture] = {}
    for picture in pictures:
        side, name = side_of(picture.uri, sides)
        other = waiting.pop((BACK if side == FRONT else FRONT, name), None)
        if side is None or (other is None and (side, name) in waiting):
            yield (picture,)
        elif other is None:
            waiting[side, name] = picture
        else:
            yield (picture, other) if side == FRONT else (other, picture)
    yield from ((picture,) for picture in waiting.values())


def side_of(uri: str, sides: re.Pattern[str]) -> tuple[str | None, str]:
    """Which side a picture is, by the last match in its URI; and its URI without that and without its suffix."""
    matches = list(sides.finditer(uri))
    if not matches:
        return None, uri
    found = matches[-1]
    side = FRONT if found[FRONT] is not None else BACK
    start, end = found.span(side)
    name = uri[:start] + "\0" + uri[end:]
    return side, name.removesuffix(PurePosixPath(name).suffix)
