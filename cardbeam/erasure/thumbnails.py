"""A response -> the same bytes without the thumbnails in it; all else stays as it was received."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from schemas.documents import DOCUMENTS
from schemas.fields import Kind

_NAMES = frozenset(field.name for fields in DOCUMENTS.values() for field in fields if field.kind is Kind.IMAGE)


def without_thumbnails(response: bytes) -> bytes | None:
    """The response with each thumbnail an empty text; None where that cannot be told for sure: then all of it goes."""
    try:
        held = orjson.loads(response)
    except orjson.JSONDecodeError:
        return None
    changed = response
    for text in set(_thumbnails(held)):
        for form in (orjson.dumps(text), orjson.dumps(text).replace(b"/", b"\\/")):
            changed = changed.replace(form, b'""')
    return changed if orjson.loads(changed) == _emptied(held) else None


def _thumbnails(held: Any, *, is_thumbnail: bool = False) -> Iterator[str]:
    if isinstance(held, str) and held and is_thumbnail:
        yield held
    for one in held if isinstance(held, list) else ():
        yield from _thumbnails(one, is_thumbnail=is_thumbnail)
    for name, one in held.items() if isinstance(held, dict) else ():
        yield from _thumbnails(one, is_thumbnail=is_thumbnail or name in _NAMES)


def _emptied(held: Any, *, is_thumbnail: bool = False) -> Any:
    if isinstance(held, str):
        return "" if is_thumbnail else held
    if isinstance(held, list):
        return [_emptied(one, is_thumbnail=is_thumbnail) for one in held]
    if isinstance(held, dict):
        return {name: _emptied(one, is_thumbnail=is_thumbnail or name in _NAMES) for name, one in held.items()}
    return held
