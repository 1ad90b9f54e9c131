"""Arguments -> Settings and Beam's options; what nobody knows is an error that names the nearest.

Our options are the fields of the settings; whatever is left must be an option of Beam or
of one of its runners.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields, replace
from typing import Any, get_type_hints

from apache_beam.options.pipeline_options import PipelineOptions

from cardbeam.config.settings import (
    EndpointSettings,
    InputSettings,
    LaunchSettings,
    OutputSettings,
    RateSettings,
    ReplaySettings,
    ReportingSettings,
    Settings,
    WatchSettings,
)
from cardbeam.inputs.output_overlap import input_contains_output
from cardbeam.storage.uris import normal_uri
from pipeline.cli.exit_codes import UsageError
from pipeline.cli.flink_options import FlinkJobOptions
from pipeline.cli.layered_options import CONFIG, Options, layer
from pipeline.cli.parser import Parser, unknown_option
from pipeline.cli.runner_options import check_runner
from pipeline.cli.terminal.logs import reconfigure_logging
from pipeline.cli.terminal.program import program

DEFAULT_RUNNER = "FnApiRunner"
BUFFER_LIMIT = "data_buffer_time_limit_ms=100"
_TITLES: dict[type, str] = {
    InputSettings: "images",
    WatchSettings: "watching",
    ReplaySettings: "dead letters",
    EndpointSettings: "endpoint",
    RateSettings: "rate and cost",
    ReportingSettings: "reporting",
    OutputSettings: "output",
    LaunchSettings: "launch",
}
_URIS = frozenset({"input", "output"})
_HIDDEN_RUNNER_OPTIONS = frozenset({"-h", "--help"})
_EXPERIMENTS = (
    # else Beam asks pip at each launch what is installed on this machine, for the workers' log: half a second and more
    "--experiments=disable_logging_submission_environment",
    # else a worker hands on what a step gives by 10 MB, held several times over: 27 MB for a run of 300,000 images
    f"--experiments={BUFFER_LIMIT}",
)
"""Of several values of one experiment Beam takes the first, so a user's own goes before these."""


def parse_run(command: str, description: str, arguments: Sequence[str]) -> tuple[Settings, PipelineOptions]:
    """The settings of a run and the options of its runner. Raises as `parse` does."""
    groups = (InputSettings, EndpointSettings, RateSettings, OutputSettings, ReportingSettings, LaunchSettings)
    (inputs, *others, reporting, launching), options = parse(command, description, arguments, *groups)
    settings = replace(Settings(inputs, *others), reporting=reporting, launch=launching)
    refuse_overlap(settings)
    return settings, options


def refuse_overlap(settings: Settings) -> None:
    """See whether the tables would be taken for images: more of them each run, and no end of them in a watch.

    Raises:
        UsageError: an input holds the output.
    """
    output = settings.output.output
    for source in settings.input.input:
        if input_contains_output(source, output):
            raise UsageError(
                f"--input {source} holds --output {output}, whose files would be taken for images: name images "
                "alone, as …/**/*.jpg does, or give an output elsewhere"
            )


def parse(
    command: str, description: str, arguments: Sequence[str], *groups: type, runner: str | None = DEFAULT_RUNNER
) -> tuple[list[Any], PipelineOptions]:
    """The settings of each concern, in their order, and the options of the runner, which is `runner` unless told.

    An option that two concerns name is that of the first; the second gets its value too, or its own default if its
    kind is another. A command that runs no graph says so by None as its runner: its help then says nothing of any.

    Raises:
        UsageError: an option is unknown, has a value that does not fit, or is missing.
        SystemExit: `--help` was asked for and printed.
    """
    parser = our_parser(command, description, groups, runner)
    layered = layer(command, arguments, known_options(parser, has_runner=runner is not None))
    ours, rest = parser.parse_known_args(layered.arguments)
    _refuse_unknown(rest, parser.option_names())
    kinds: dict[str, Any] = {}
    found = [_group(group, ours, kinds) for group in groups]
    for settings in found:
        if isinstance(settings, ReportingSettings):
            reconfigure_logging(settings.log_format, settings.log_level)
    if errors := [error for group in found for error in group.validate()]:
        raise UsageError("; ".join(errors))
    options = PipelineOptions([*_with_default_runner(rest, runner or DEFAULT_RUNNER), *_EXPERIMENTS])
    if runner is not None:
        check_runner(options, next((one.output for one in found if isinstance(one, OutputSettings)), ""))
    return found, options


def our_parser(command: str, description: str, groups: Sequence[type], runner: str | None = None) -> Parser:
    """A parser of the options that these concerns have."""
    others = f"Every option of Beam and of the runner is taken too: --runner (default {runner}, which runs on this "
    others += "machine), --temp_location, --flink_master, …"
    parser = Parser(prog=f"{program()} {command}", description=description, epilog=others if runner else None)
    names: set[str] = set()
    for group in groups:
        section = parser.add_argument_group(_TITLES.get(group, command))
        kinds = get_type_hints(group)
        for field in fields(group):
            if field.name not in names:
                section.add_argument(f"--{field.name}", **_argument(field, kinds[field.name]))
            names.add(field.name)
    add_config(parser)
    return parser


def add_config(parser: Parser) -> None:
    """Take `--config`, which `layer` has read by then."""
    parser.add_argument(
        f"--{CONFIG}",
        metavar="URI",
        help='A TOML file of options, as output = "s3://tables/cards", with ${NAME} for environment variables. The '
        "command line goes before CARDBEAM_… variables, and these before the file; `config show` prints the result.",
    )


def known_options(parser: Parser, *, has_runner: bool) -> Options:
    """What a command's parser knows, with the options of runners if it has one, and what other commands know."""
    others = {field.name for group in _TITLES for field in fields(group)}
    of_runners = _beam_parser().flags()
    ours = {name: is_flag for name, is_flag in parser.flags().items() if name != CONFIG}
    return Options({**(of_runners if has_runner else {}), **ours}, frozenset(others | set(of_runners)))


def _argument(field: Field[Any], kind: Any) -> dict[str, Any]:
    text = field.metadata["help"].replace("%", "%%")
    default = None if field.default is MISSING else field.default
    if kind is bool:
        return {"action": "store_true", "help": text}
    argument: dict[str, Any] = {"help": text if default in (None, "", ()) else f"{text} Default: {default}."}
    if kind == tuple[str, ...]:
        return {**argument, "action": "append", "default": [], "metavar": "TEXT"}
    if field.metadata["choices"]:
        return {**argument, "default": default, "choices": field.metadata["choices"]}
    reader = kind if kind in (int, float) else str
    return {**argument, "default": default, "type": reader, "metavar": {int: "N", float: "X"}.get(kind, "TEXT")}


def _group(group: type, ours: argparse.Namespace, kinds: dict[str, Any]) -> Any:
    """The settings of a concern. `kinds` are those of the options that were read by now, and takes up its own."""
    own = get_type_hints(group)
    names = [field.name for field in fields(group) if kinds.setdefault(field.name, own[field.name]) == own[field.name]]
    return group(**{name: _value(name, getattr(ours, name)) for name in names})


def _value(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_value(name, one) for one in value)
    return normal_uri(value) if name in _URIS else value


def _refuse_unknown(rest: Sequence[str], ours: Sequence[str]) -> None:
    beam_parser = _beam_parser()
    _, unknown = beam_parser.parse_known_args(list(rest))
    if unknown:
        raise unknown_option(unknown[0], {*ours, *beam_parser.option_names()} - _HIDDEN_RUNNER_OPTIONS)


def _beam_parser() -> Parser:
    """A parser of all options that Beam and its runners know."""
    parser = Parser(add_help=False, conflict_handler="resolve")
    for group in (FlinkJobOptions, *PipelineOptions.__subclasses__()):
        if "_add_argparse_args" in vars(group):
            group._add_argparse_args(parser)  # Beam's own hook for this
    return parser


def _with_default_runner(rest: Sequence[str], runner: str) -> list[str]:
    if any(argument.split("=")[0] == "--runner" for argument in rest):
        return list(rest)
    return [f"--runner={runner}", *(["--direct_running_mode=in_memory"] if runner == DEFAULT_RUNNER else []), *rest]
