"""Small JSON files of the output folder, each the fields of a dataclass: checked when they are read.

Each carries the number of its format. Fields that a later version added to the same format are passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, asdict, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import orjson

from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import Folder

FORMAT = 1
_FORMAT_FIELD = "format"
_State = TypeVar("_State")


def write_state(folder: Folder, path: str, state: Any) -> None:
    """Put the fields of a dataclass in place, over a file that is there."""
    folder.write(path, encode_state(state))


def encode_state(state: Any) -> bytes:
    """The content of a state file."""
    return orjson.dumps({_FORMAT_FIELD: FORMAT, **asdict(state)}, option=orjson.OPT_INDENT_2)


def read_state(folder: Folder, path: str, kind: Callable[..., _State]) -> _State | None:
    """What a state file holds; None where there is none.

    Raises:
        DamagedFile: it is not whole, lacks a field, has one of another type, or is of another format.
    """
    try:
        content = folder.read(path)
    except FileNotFoundError:
        return None
    return decode_state(path, content, kind)


def decode_state(path: str, content: bytes, kind: Callable[..., _State]) -> _State:
    """What the content of a state file holds.

    Raises:
        DamagedFile: as `read_state`.
    """
    held = decode_json(path, content, dict[str, Any])
    number = held.get(_FORMAT_FIELD)
    if type(number) is not int or number != FORMAT:
        raise DamagedFile.of(path, _other_format(number))
    values = {}
    for name, hint, is_needed in _fields_of(kind):
        if name not in held and is_needed:
            raise DamagedFile.of(path, f"has no field {name!r}")
        if name in held:
            if not is_of(held[name], hint):
                raise DamagedFile.of(path, f"has a field {name!r} of another type")
            values[name] = held[name]
    return kind(**values)


def _other_format(number: object) -> str:
    if number is None or (type(number) is int and number < FORMAT):
        return "is of an older format, that this version does not read"
    if type(number) is int:
        return f"is of a newer format, {number}, that this version does not read"
    return f"has a field {_FORMAT_FIELD!r} of another type"


def decode_json(path: str, content: bytes, hint: Any) -> Any:
    """JSON whose value has a type as annotations give it.

    Raises:
        DamagedFile: it is something else.
    """
    try:
        held = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise DamagedFile.of(path, "is empty" if not content.strip() else "is not whole JSON") from None
    if not is_of(held, hint):
        raise DamagedFile.of(path, "is JSON of another kind")
    return held


@cache
def _fields_of(kind: Any) -> tuple[tuple[str, Any, bool], ...]:
    """Of each field its name, its type, and whether it is needed."""
    hints = get_type_hints(kind)
    return tuple(
        (one.name, hints[one.name], one.default is MISSING and one.default_factory is MISSING) for one in fields(kind)
    )


@cache
def _origin_and_args(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    return get_origin(hint), get_args(hint)


def is_of(value: Any, hint: Any) -> bool:
    """Whether a value as JSON gives it is of a type: a list may stand for a tuple, an integer for a float."""
    origin, inner = _origin_and_args(hint)
    if origin in (Union, UnionType):
        return any(is_of(value, one) for one in inner)
    if origin is dict:
        return type(value) is dict and (inner[1] is Any or all(is_of(one, inner[1]) for one in value.values()))
    if origin is list or (origin is tuple and inner[-1] is ...):
        return type(value) is list and all(is_of(one, inner[0]) for one in value)
    if origin is tuple:
        return type(value) is list and len(value) == len(inner) and all(map(is_of, value, inner))
    if hint is float:
        return type(value) in (float, int)
    return hint is Any or type(value) is (NoneType if hint is None else hint)
