"""TOML text -> how long images are kept: rules with an age in days, and what each is about.

A rule is about images that have any of its types and any of its labels; without either it is about all images.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Rule:
    """How long some images are kept."""

    name: str
    days: int
    types: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    dead_letters: bool = False
    """Whether it is about images without a document alone."""


_KEYS = ("name", "days", "types", "labels", "dead_letters")


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
    name, dead_letters = table.get("name", where), table.get("dead_letters", False)
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise PolicyError(f"{where}: name is not a text of one line")
    if not isinstance(dead_letters, bool):
        raise PolicyError(f"{where}: dead_letters is {dead_letters!r}, expected true or false")
    types = tuple(_texts(where, table, "types"))
    if dead_letters and types:
        raise PolicyError(f"{where}: dead letters have no type: leave out types or dead_letters")
    for one in types:
        if one not in DOCUMENT_TYPES:
            raise PolicyError(f"{where}: unknown type '{one}', expected one of {', '.join(DOCUMENT_TYPES)}")
    return Rule(name, _days(where, table), types, tuple(_labels(where, table)), dead_letters)


def _days(where: str, table: dict[str, Any]) -> int:
    if "days" not in table:
        raise PolicyError(f"{where}: no age, expected days = N")
    days = table["days"]
    if type(days) is not int or not 1 <= days <= _MAX_DAYS:  # a bool is an int, and no age
        raise PolicyError(f"{where}: days is {days!r}, expected a whole number from 1 to {_MAX_DAYS:,}")
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
