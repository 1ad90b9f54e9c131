"""`config`: the options of a command as they are merged, and where each value came from."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from cardbeam.config.secret_command import VARIABLE
from cardbeam.config.settings import (
    EndpointSettings,
    InputSettings,
    OutputSettings,
    RateSettings,
    ReplaySettings,
    WatchSettings,
)
from pipeline.cli.exit_codes import EXIT_COMPLETE
from pipeline.cli.layered_options import CONFIG, layer
from pipeline.cli.options import known_options, our_parser
from pipeline.cli.parser import Parser

_OF_A_RUN = (EndpointSettings, RateSettings, OutputSettings)
_COMMANDS: dict[str, tuple[type, ...]] = {
    "backfill": (InputSettings, *_OF_A_RUN),
    "plan": (InputSettings, *_OF_A_RUN),
    "watch": (InputSettings, WatchSettings, *_OF_A_RUN),
    "replay": (ReplaySettings, *_OF_A_RUN),
}
HIDDEN = "***"
_SECRET_NAME = re.compile(r"^notify_url$|secret|password|passwd|token|(^|_)key($|_)")
_USER = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_QUERY = re.compile(r"(?<=\?)[^#\s]+")
_CREDENTIALS = ("CARD_API_KEY", "CARD_API_SECRET", VARIABLE)


def main(arguments: Sequence[str]) -> int:
    """Print the options of a command as command line, environment, file and defaults give them, as TOML; behind each
    where it came from. Secrets are hidden. Checks no value: `doctor` does."""
    parser = Parser(prog="run.sh config", description=main.__doc__, epilog="Then the command's options, as --config.")
    parser.add_argument("action", choices=("show",))
    parser.add_argument("command", nargs="?", choices=tuple(_COMMANDS), default="backfill", help="Default: backfill.")
    asked, rest = parser.parse_known_args(list(arguments))
    print("\n".join(shown(asked.command, rest, os.environ)))
    return EXIT_COMPLETE


def shown(command: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[str]:
    """One line an option, then one a credential.

    Raises:
        UsageError: an option is unknown, or has a value that does not fit.
    """
    parser = our_parser(command, "", _COMMANDS[command])
    options = known_options(parser, has_runner=True)
    layered = layer(command, arguments, options, environment)
    ours, rest = parser.parse_known_args(layered.arguments)
    values = {**_values(ours), **_of_the_runner(rest)}
    for name in sorted(values):
        value = values[name]
        text = f"{name} = {_as_toml(name, value)}" if value not in (None, "", []) else f"# {name}"
        yield f"{text}  # {layered.sources.get(name, 'default')}"
    for variable in _CREDENTIALS:
        yield f"# {variable}: " + (f"{HIDDEN} (environment)" if environment.get(variable) else "not set")


def _values(ours: argparse.Namespace) -> dict[str, Any]:
    return {name: value for name, value in vars(ours).items() if name != CONFIG}


def _of_the_runner(rest: Sequence[str]) -> dict[str, Any]:
    """Beam reads these itself: they are shown as they were given."""
    found: dict[str, Any] = {}
    for argument in rest:
        if argument.startswith("--"):
            name, is_joined, value = argument[2:].partition("=")
            found[name] = value if is_joined else True
    return found


def _as_toml(name: str, value: Any) -> str:
    return orjson.dumps(_hidden(name, value)).decode()


def _hidden(name: str, value: Any) -> Any:
    """Nothing of a value whose name tells of a secret, and neither user nor query of a URL."""
    if isinstance(value, list):
        return [_hidden(name, one) for one in value]
    if not isinstance(value, str):
        return value
    if _SECRET_NAME.search(name):
        return HIDDEN
    return _QUERY.sub(HIDDEN, _USER.sub(HIDDEN, value)) if "://" in value else value
