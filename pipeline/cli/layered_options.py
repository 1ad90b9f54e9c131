"""Command line, environment and configuration file -> one list of arguments, and where each value came from.

Precedence: command line, environment (`CARDBEAM_OUTPUT` for `--output`), file (`--config`), default. A value of a
higher layer replaces that of a lower one, also where an option is repeatable.

A file is TOML: option names as keys, lists for repeatable options, `${NAME}` for an environment variable. A key of the
top level applies to each command that has the option; a table `[watch]` applies to that command alone, and goes first.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any

import orjson

from cardbeam.storage.open_uri import CANNOT_OPEN, open_source
from pipeline.cli.exit_codes import UsageError
from pipeline.cli.parser import unknown_option

if sys.version_info >= (3, 11):
    import tomllib
else:  # the same library, before it came into the standard one
    import tomli as tomllib

PREFIX = "CARDBEAM_"
CONFIG = "config"
COMMAND_LINE = "command line"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"", "0", "false", "no", "off"})
_SIMILAR = 0.8
"""A variable so similar to one of ours is a slip; others that begin like ours belong to other programs."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options that a command knows: by name, whether it is a flag, which takes no value."""

    is_flag: Mapping[str, bool]
    elsewhere: frozenset[str] = frozenset()
    """Options of other commands, which a shared file may hold."""


@dataclass(frozen=True, slots=True)
class Layered:
    """The merged arguments, and by option name where its value came from."""

    arguments: list[str]
    sources: dict[str, str] = field(default_factory=dict)


def layer(
    command: str, arguments: Sequence[str], options: Options, environment: Mapping[str, str] = os.environ
) -> Layered:
    """Merge all layers.

    Raises:
        UsageError: the file cannot be read, or it or the environment has an option that nobody knows.
    """
    given = {name for argument in arguments if (name := _name(argument))}
    layers = [_of_environment(options, environment)]
    if path := _config_path(arguments, environment):
        layers.append(_of_file(path, command, options, environment))
    merged, sources = list(arguments), dict.fromkeys(sorted(given - {CONFIG}), COMMAND_LINE)
    for found in layers:
        for name, (values, source) in found.items():
            if name not in sources:
                sources[name] = source
                merged[:0] = _as_arguments(name, values, source, is_flag=options.is_flag[name])
    return Layered(merged, sources)


_Values = dict[str, tuple[list[str], str]]
"""Values as a command line would give them, and their source, by option."""


def _name(argument: str) -> str:
    return argument.partition("=")[0][2:] if argument.startswith("--") else ""


def _config_path(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    for number, argument in enumerate(arguments):
        if _name(argument) == CONFIG:
            _, is_joined, value = argument.partition("=")
            return value if is_joined else "".join(arguments[number + 1 : number + 2])
    return environment.get(PREFIX + CONFIG.upper(), "")


def _of_environment(options: Options, environment: Mapping[str, str]) -> _Values:
    variables = {PREFIX + name.upper(): name for name in {*options.is_flag, *options.elsewhere, CONFIG}}
    found: _Values = {}
    for variable, value in environment.items():
        name = variables.get(variable)
        if name is not None and name != CONFIG and name in options.is_flag:
            found[name] = (_listed(value), f"environment {variable}")
        elif name is None and variable.startswith(PREFIX):
            _refuse_slip(variable, variables)
    return found


def _refuse_slip(variable: str, known: Mapping[str, str]) -> None:
    nearest = difflib.get_close_matches(variable, sorted(known), n=1, cutoff=_SIMILAR)
    if nearest:
        raise UsageError(f"Unknown environment variable {variable}. Did you mean {nearest[0]}?")


def _listed(value: str) -> list[str]:
    """One value, or a JSON list of them; a glob may begin with a bracket too."""
    if value.startswith("["):
        try:
            held = orjson.loads(value)
        except orjson.JSONDecodeError:
            return [value]
        if isinstance(held, list) and all(isinstance(one, str) for one in held):
            return held
    return [value]


def _of_file(path: str, command: str, options: Options, environment: Mapping[str, str]) -> _Values:
    held = _read(path)
    shared = {name: value for name, value in held.items() if not isinstance(value, dict)}
    own = held.get(command, {})
    own = own if isinstance(own, dict) else {}
    for name in {**shared, **own}:
        if name not in options.is_flag and (name in own or name not in options.elsewhere):
            raise UsageError(f"--config {path}: {unknown_option(f'--{name}', _dashed(options, name in own))}")
    values = {name: value for name, value in {**shared, **own}.items() if name in options.is_flag}
    return {
        name: ([_text(f"--config {path}, {name}", one, environment) for one in _as_list(value)], path)
        for name, value in values.items()
    }


def _dashed(options: Options, is_own: bool) -> list[str]:
    return [f"--{name}" for name in (options.is_flag if is_own else {*options.is_flag, *options.elsewhere})]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _read(path: str) -> dict[str, Any]:
    try:
        with open_source(path) as file:
            return tomllib.loads(file.read().decode())
    except UnicodeDecodeError:
        raise UsageError(f"--config {path} is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"--config {path} is not TOML: {error}") from None
    except CANNOT_OPEN as error:
        raise UsageError(f"--config {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _text(where: str, value: Any, environment: Mapping[str, str]) -> str:
    """A value as a command line would give it, with its variables put in."""
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: _variable(where, found[1], environment), value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (int, float)):
        return str(value)
    raise UsageError(f"{where}: expected a text, a number, true or false, or a list of them")


def _variable(where: str, name: str, environment: Mapping[str, str]) -> str:
    try:
        return environment[name]
    except KeyError:
        raise UsageError(f"{where}: the environment variable {name} is not set") from None


def _as_arguments(name: str, values: Sequence[str], source: str, *, is_flag: bool) -> Iterator[str]:
    if not is_flag:
        yield from (f"--{name}={value}" for value in values)
    elif len(values) == 1 and values[0].lower() in _TRUE:
        yield f"--{name}"
    elif len(values) != 1 or values[0].lower() not in _FALSE:
        raise UsageError(f"{source}: {name} is {' '.join(values)!r}, expected true or false")
