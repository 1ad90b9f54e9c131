"""The error of a worker in another process, from the text that a runner gives of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

_LINE = re.compile(
    r"^(?:RuntimeError: )*(?P<kind>[\w.]+): (?P<words>.+?)(?: \[while running '[^']*'\])*$", re.MULTILINE
)
_BUILTINS = "builtins"


def remote_error(error: BaseException) -> OSError | None:
    """The last error of the operating system or of ours that a text tells of; None where it tells of none.

    The words of other libraries' errors are left alone: a value may be card text.
    """
    family: list[type[OSError]] = [OSError, *_subclasses(OSError)]
    kinds = {_name(kind): kind for kind in family if _is_known(kind)}
    message = [found for found in _LINE.finditer(str(error)) if found["kind"] in kinds]
    return kinds[message[-1]["kind"]](message[-1]["words"]) if message else None


def _subclasses(kind: type[OSError]) -> Iterator[type[OSError]]:
    for one in kind.__subclasses__():
        yield one
        yield from _subclasses(one)


def _is_known(kind: type[OSError]) -> bool:
    return kind.__module__.partition(".")[0] in (_BUILTINS, "cardbeam", "transforms", "pipeline")


def _name(kind: type[OSError]) -> str:
    """As a traceback names it."""
    return kind.__name__ if kind.__module__ == _BUILTINS else f"{kind.__module__}.{kind.__qualname__}"
