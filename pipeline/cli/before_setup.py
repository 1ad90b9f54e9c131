"""Tells a command's options, and refuses unknown ones, before any package is installed: for `run.sh`.

Options are read from the source of the settings without importing it, for its imports are not there yet. Where the
packages of all commands are there, the command's own parser decides, and checks values too.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.cli.exit_codes import EXIT_COMPLETE, UsageError
from pipeline.cli.parser import unknown_option

_ROOT = Path(__file__).resolve().parents[2]
_COMMANDS = _ROOT / "pipeline" / "commands"
_RUNNER_OPTIONS = Path(__file__).with_name("runner_options.txt")
_SETTINGS = (
    "cardbeam/config/settings.py",
    "pipeline/cli/terminal/output_format.py",
    "pipeline/catalog/iceberg/register.py",
)
_PARSERS = ("parse", "parse_run")
_HELP = ("-h", "--help")
_CONFIG = "--config"
_PASSED_ON = ("config", "__init__")
"""`config` takes the options of other commands."""
_WIDTH = 100


@dataclass(frozen=True, slots=True)
class CommandOptions:
    """What a command takes: a help text by option. One with groups of settings may be told by their own parser."""

    description: str
    helps: dict[str, str]
    groups: tuple[str, ...] = ()
    has_runner: bool = False


def main(arguments: Sequence[str]) -> int:
    """Print the help that is asked for, or see that each option is known; the exit status."""
    command, given = arguments[0], arguments[1:]
    known = options_of(command)
    if known is None:
        return EXIT_COMPLETE
    if any(one in _HELP for one in given):
        print(f"usage: run.sh {command} [options]\n\n{known.description}\n")
        for name, text in known.helps.items():
            print(name, textwrap.fill(text, _WIDTH, initial_indent="    ", subsequent_indent="    "), sep="\n")
        if known.has_runner:
            print("\nEvery option of Beam and of the runner is taken too.")
        return EXIT_COMPLETE
    try:
        check_options(command, known, given)
    except UsageError as error:
        print(f"run.sh {command}: {error}; see run.sh {command} --help", file=sys.stderr)
        return error.exit_status
    return EXIT_COMPLETE


def check_options(command: str, known: CommandOptions, given: Sequence[str]) -> None:
    """See whether the options are known; their values too, where the packages of all commands are installed.

    Raises:
        UsageError: one is unknown, or has a value that does not fit.
    """
    if known.groups and importlib.util.find_spec("apache_beam") is not None:
        _parse(command, known, given)
        return
    names = {*known.helps, _CONFIG, *(runner_options() if known.has_runner else ())}
    for argument in given:
        if argument.startswith("--") and argument.partition("=")[0] not in names:
            raise unknown_option(argument, names)


def _parse(command: str, known: CommandOptions, given: Sequence[str]) -> None:
    from pipeline.cli.terminal.logs import configure_logging  # noqa: PLC0415  # of packages that are there

    configure_logging("text")  # Beam's modules warn of what is not installed as they are imported
    from pipeline.cli import options  # noqa: PLC0415

    module = importlib.import_module(f"pipeline.commands.{command}")
    groups = [getattr(module, name, None) or getattr(options, name) for name in known.groups]
    runner = options.DEFAULT_RUNNER if known.has_runner else None
    options.parse(command, "", given, *groups, runner=runner)


def runner_options() -> Iterator[str]:
    """Options of Beam and its runners."""
    yield from (line for line in _RUNNER_OPTIONS.read_text().splitlines() if line.startswith("--"))


def options_of(command: str) -> CommandOptions | None:
    """What a command takes, by its source; None for what has no options of its own here."""
    path = _COMMANDS / f"{command}.py"
    if not path.exists() or command in _PASSED_ON:
        return None
    tree = _tree(path)
    main_function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main")
    description = textwrap.fill(" ".join((ast.get_docstring(main_function) or "").split()), _WIDTH)
    call = next((node for node in ast.walk(main_function) if isinstance(node, ast.Call) and _is_parse(node)), None)
    if call is None:
        return CommandOptions(description, dict(_added(tree)))
    groups = _groups(main_function) or _groups(_function(_tree(_ROOT / "pipeline/cli/options.py"), "parse_run"))
    helps: dict[str, str] = {}
    for group in groups:
        helps = {**_helps_of(group, path), **helps}
    has_runner = all(word.arg != "runner" or not _is_none(word.value) for word in call.keywords)
    return CommandOptions(description, helps, groups, has_runner)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _function(tree: ast.Module, name: str) -> ast.FunctionDef:
    return next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)


def _is_parse(node: ast.AST) -> Any:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _PARSERS


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _groups(function: ast.FunctionDef) -> tuple[str, ...]:
    """The settings that it has parsed: those in its call, and in the list `groups`."""
    lists = [node.value for node in ast.walk(function) if isinstance(node, ast.Assign) and _names(node) == ["groups"]]
    calls = [argument for node in ast.walk(function) if _is_parse(node) for argument in node.args]  # type: ignore[attr-defined]
    found = [node for one in (*lists, *calls) for node in ast.walk(one) if isinstance(node, ast.Name)]
    return tuple(dict.fromkeys(node.id for node in found if node.id.endswith("Settings")))


def _names(assigned: ast.Assign) -> list[str]:
    return [target.id for target in assigned.targets if isinstance(target, ast.Name)]


def _helps_of(group: str, command: Path) -> dict[str, str]:
    """The options of a class of settings, with their help."""
    for path in (command, *(_ROOT / one for one in _SETTINGS)):
        for node in _tree(path).body:
            if isinstance(node, ast.ClassDef) and node.name == group:
                return {f"--{name}": text for name, text in _fields(node)}
    raise LookupError(group)


def _fields(group: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for node in group.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(node.value, ast.Call):
            yield node.target.id, _help(node.value)


def _added(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The options that a module adds to a parser by itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            name = node.args[0]
            if isinstance(name, ast.Constant) and str(name.value).startswith("--"):
                yield str(name.value), _help(node)


def _help(call: ast.Call) -> str:
    text = next((word.value for word in call.keywords if word.arg == "help"), None)
    return str(text.value).partition(" Default: %(")[0] if isinstance(text, ast.Constant) else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
