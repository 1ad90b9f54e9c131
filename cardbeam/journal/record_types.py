"""Whether values that were read from a journal are a record: their types, the form of ids, the range of integers."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, get_args, get_origin, get_type_hints

from cardbeam.model.record import JournalRecord, RecordStatus
from schemas.run_tables import LEDGER_SCHEMA

FIELDS: tuple[str, ...] = JournalRecord.__slots__
"""What a record holds, in its order; the response is the last."""
_HINTS: Mapping[str, Any] = get_type_hints(JournalRecord)
_OUTCOMES = frozenset(one.value for one in RecordStatus)
_is_id = re.compile("[0-9a-f]{32}").fullmatch
_ITEM_ID, _SOURCE_ID, _OUTCOME, _URIS, _LABELS = map(
    FIELDS.index, ("item_id", "source_id", "outcome", "uris", "labels")
)


def _types_of(hint: Any) -> frozenset[type]:
    """The types that a field's values have once they went through JSON."""
    if get_origin(hint) is tuple:
        return frozenset({list})
    if hint is float:
        return frozenset({float, int})
    return frozenset().union(*map(_types_of, get_args(hint))) if get_args(hint) else frozenset({hint})


_TYPES = tuple(_types_of(_HINTS[name]) for name in FIELDS)
_CODES = {32: "i", 64: "q"}
"""How `struct` calls integers of so many bits."""
_seen_types: dict[tuple[type, ...], Callable[[Sequence[Any]], object]] = {}
"""Combinations of types that are right, of which there are few, each with what packs the integers of such a row."""


def is_record(row: Sequence[Any]) -> bool:
    """Whether values, in the order of `FIELDS`, are those of a record. Sequences are lists, as JSON gives them."""
    types = tuple(map(type, row))
    pack = _seen_types.get(types) or _learn(types)
    if pack is None or row[_OUTCOME] not in _OUTCOMES:
        return False
    if not _is_id(row[_ITEM_ID]) or (row[_SOURCE_ID] is not None and not _is_id(row[_SOURCE_ID])):
        return False
    for uri in row[_URIS]:  # loops, for a generator takes longer than all that it reads
        if type(uri) is not str:
            return False
    for label in row[_LABELS]:
        if type(label) is not list or len(label) != 2 or type(label[0]) is not str or type(label[1]) is not str:
            return False
    try:
        pack(row)
    except struct.error:  # an integer is too large for its column
        return False
    return True


def _learn(types: tuple[type, ...]) -> Callable[[Sequence[Any]], object] | None:
    if len(types) != len(_TYPES) or not all(map(frozenset.__contains__, _TYPES, types)):
        return None
    integers = [number for number, kind in enumerate(types) if kind is int and float not in _TYPES[number]]
    widths = (LEDGER_SCHEMA.field(FIELDS[number]).type.bit_width for number in integers)
    pack, values = struct.Struct("<" + "".join(_CODES[width] for width in widths)).pack, itemgetter(*integers)
    _seen_types[types] = lambda row: pack(*values(row))
    return _seen_types[types]
