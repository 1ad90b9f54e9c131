"""`--format` of commands that tell something: for people, or as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from cardbeam.config.options import SettingError, option

JSON = "json"


@dataclass(frozen=True, slots=True)
class FormatSettings:
    """How a command prints what it found."""

    format: str = option("text", help="text, or json: one object on one line.", choices=("text", JSON))

    def validate(self) -> Iterator[SettingError]:
        """Nothing: the parser knows the choices."""
        yield from ()


def as_json(found: Any) -> str:
    """Dataclasses, numbers of numpy and times included, on one line."""
    return orjson.dumps(found, default=str, option=orjson.OPT_SERIALIZE_NUMPY).decode()
