"""How every command reads its arguments: each mistake is a UsageError, and that of an unknown option names the
nearest."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from pipeline.cli.exit_codes import UsageError


class Parser(argparse.ArgumentParser):
    """The standard library's parser, which takes no abbreviations and raises where that one would end the process."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise UsageError(message)

    def option_names(self) -> list[str]:
        """Every option that was added, `--help` included."""
        return list(self._option_string_actions)  # no public list

    def flags(self) -> dict[str, bool]:
        """Every option by name, and whether it is a flag, which takes no value."""
        named = {name[2:]: action for name, action in self._option_string_actions.items() if name.startswith("--")}
        return {name: action.nargs == 0 for name, action in named.items() if name != "help"}

    def parse_all(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The values of all arguments.

        Raises:
            UsageError: one is unknown, has a value that does not fit, or is missing.
            SystemExit: `--help` was asked for and printed.
        """
        found, rest = self.parse_known_args(list(arguments))
        if rest:
            raise unknown_option(rest[0], self.option_names())
        return found


def unknown_option(argument: str, known: Iterable[str]) -> UsageError:
    """What to raise of an argument (`--nmae=value`) that is none of the known options."""
    name = argument.partition("=")[0]
    nearest = difflib.get_close_matches(name, sorted(known), n=1)
    return UsageError(f"unknown option {name}" + (f"; did you mean {nearest[0]}?" if nearest else ""))
