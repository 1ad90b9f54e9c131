"""The pattern over file names that tells the front of a card from its back."""

from __future__ import annotations

import re

FRONT, BACK = "front", "back"
DEFAULT_SIDES = "(?P<front>front)|(?P<back>back)"


def compile_sides(pattern: str) -> re.Pattern[str]:
    """The pattern that tells the sides apart.

    Raises:
        ValueError: it is no regular expression, or names not both groups.
    """
    try:
        sides = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    if not {FRONT, BACK} <= sides.groupindex.keys():
        raise ValueError("expected the named groups front and back")
    return sides
