"""TOML text -> how long what is known of images is kept: rules with ages in days, and what each is about.

A rule is about images that have any of its types and any of its labels; without either it is about all images.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from cardbeam.errors import CardbeamError
from schemas.documents import DOCUMENT_TYPES

if sys.version_info >= (3, 11):
    import tomllib
else:  # the same library, before it came into the standard one
    import tomli as tomllib

_RULE = "rule"
_MAX_DAYS = 36_500
"""No age is larger: 100 years."""


class PolicyError(CardbeamError):
    """A retention policy that cannot be followed; the message names the rule and what was expected."""


class Kept(str, Enum):
    """What has an age of its own, by the key of a rule."""

    RESPONSES = "responses"
    """The response in the ledger, alone."""
    THUMBNAILS = "thumbnails"
    """The image of a document, in its table and in the response."""
    DOCUMENTS = "documents"
    """Images with a document, as a whole: nothing but their ids stays."""
    DEAD_LETTERS = "dead_letters"
    """Images without a document, as a whole."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How many days something is kept of some images; None where the rule says nothing of it."""

    name: str
    responses: int | None = None
    thumbnails: int | None = None
    documents: int | None = None
    dead_letters: int | None = None
    types: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    def days_of(self, kept: Kept) -> int | None:
        """The age of this."""
        days: int | None = getattr(self, kept.value)
        return days


_AGES = tuple(one.value for one in Kept)
_KEYS = ("name", *_AGES, "types", "labels")


def parse_policy(content: bytes) -> tuple[Rule, ...]:
    """The rules of a policy, in its order.

    Raises:
        PolicyError: it is no TOML, has no rule, or one of its rules cannot be followed.
    """
    try:
        held = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise PolicyError("is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"is not TOML: {error}") from None
    if unknown := sorted(held.keys() - {_RULE}):
        raise PolicyError(f"unknown key '{unknown[0]}', expected tables [[{_RULE}]]")
    tables = held.get(_RULE)
    if not isinstance(tables, list) or not tables or not all(isinstance(one, dict) for one in tables):
        raise PolicyError(f"has no rule, expected tables [[{_RULE}]]")
    rules = tuple(_rule(f"rule {number}", table) for number, table in enumerate(tables, start=1))
    names = [rule.name for rule in rules]
    if same := [name for name in names if names.count(name) > 1]:
        raise PolicyError(f"two rules have the name '{same[0]}'")
    return rules


def _rule(where: str, table: dict[str, Any]) -> Rule:
    if unknown := [key for key in table if key not in _KEYS]:
        raise PolicyError(f"{where}: unknown key '{unknown[0]}', expected {', '.join(_KEYS)}")
    name = table.get("name", where)
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise PolicyError(f"{where}: name is not a text of one line")
    ages = {key: _days(where, key, table[key]) for key in _AGES if key in table}
    if not ages:
        raise PolicyError(f"{where}: no age, expected one of {', '.join(_AGES)} = N days")
    types = tuple(_texts(where, table, "types"))
    if Kept.DEAD_LETTERS.value in ages and types:
        raise PolicyError(f"{where}: dead letters have no type: leave out types or dead_letters")
    for one in types:
        if one not in DOCUMENT_TYPES:
            raise PolicyError(f"{where}: unknown type '{one}', expected one of {', '.join(DOCUMENT_TYPES)}")
    return Rule(name, **ages, types=types, labels=tuple(_labels(where, table)))


def _days(where: str, key: str, days: Any) -> int:
    if type(days) is not int or not 1 <= days <= _MAX_DAYS:  # a bool is an int, and no age
        raise PolicyError(f"{where}: {key} is {days!r}, expected a whole number of days from 1 to {_MAX_DAYS:,}")
    return days


def _texts(where: str, table: dict[str, Any], key: str) -> list[str]:
    if key not in table:
        return []
    held = table[key]
    if not isinstance(held, list) or not held or not all(isinstance(one, str) for one in held):
        raise PolicyError(f"{where}: {key} is not a list of texts; leave it out to match all images")
    return held


def _labels(where: str, table: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for number, one in enumerate(_texts(where, table, "labels"), start=1):
        key, equals, value = one.partition("=")
        if not (key and equals):  # what it says may be personal
            raise PolicyError(f"{where}: entry {number} of labels is not KEY=VALUE")
        yield key, value
