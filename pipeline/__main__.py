"""`python -m pipeline COMMAND …`: the front door behind run.sh, and the installed program `cardbeam`."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from cardbeam.storage.uris import redact
from pipeline.cli.exit_codes import EXIT_COMPLETE, EXIT_USAGE, UsageError, exit_status_of
from pipeline.cli.signals import SIGNALS, block_signals, handled_signals
from pipeline.cli.terminal.output import drop_stdout, open_closed_streams
from pipeline.cli.terminal.plain_text import plain, plain_streams
from pipeline.cli.terminal.program import INSTALLED, program

_EXIT_PIPE, _EXIT_INTERRUPTED = 141, 130
"""As shells say of a process that SIGPIPE or SIGINT ended."""


@dataclass(frozen=True, slots=True)
class _Command:
    module: str
    does: str
    is_resumed: bool = False
    """Whether the same command goes on with what was interrupted."""
    extra: str = ""
    """The extra of the package without which the module cannot be imported."""
    signals: tuple[signal.Signals, ...] = SIGNALS
    """Those that end it as all commands end; it takes the others by itself."""
    shutdown_status: int | None = None
    """Its exit status once a signal has ended it in order; that of the signal, where it is None."""


_NOT_CTRL_C = tuple(number for number in SIGNALS if number != signal.SIGINT)
"""For a prompt, where Ctrl-C drops a statement."""
_COMMANDS = {
    "demo": _Command("pipeline.commands.demo", "a backfill over the bundled cards against the embedded endpoint"),
    "backfill": _Command("pipeline.commands.backfill", "processes every image that has no result yet", is_resumed=True),
    "plan": _Command("pipeline.commands.plan", "tells what backfill would do; makes no API calls"),
    "replay": _Command("pipeline.commands.replay", "sends dead letters again, each once", is_resumed=True),
    "publish": _Command("pipeline.commands.publish", "rebuilds the tables from stored responses; makes no API calls"),
    "watch": _Command(
        "pipeline.commands.watch",
        "processes new images as they arrive, until it is stopped",
        shutdown_status=EXIT_COMPLETE,
    ),
    "status": _Command("pipeline.commands.status", "shows a run's counts, rate, time left and cost"),
    "runs": _Command("pipeline.commands.runs", "lists all runs with their status, times and counts"),
    "sql": _Command("pipeline.commands.sql", "SQL over the tables", signals=_NOT_CTRL_C),
    "ddl": _Command(
        "pipeline.commands.ddl", "prints the CREATE TABLE statements for DuckDB, Trino, Spark, BigQuery or Athena"
    ),
    "report": _Command("pipeline.commands.report", "writes a page about a run"),
    "erase": _Command("pipeline.commands.erase", "removes persons from all tables, files and runs", is_resumed=True),
    "retain": _Command("pipeline.commands.retain", "removes what is older than a policy keeps it", is_resumed=True),
    "doctor": _Command("pipeline.commands.doctor", "checks a set-up, and says what to do about each fault"),
    "config": _Command("pipeline.commands.config", "config show: the merged options, and where each came from"),
    "evaluate": _Command(
        "pipeline.commands.evaluate", "how well cards were read, against a file of true values", extra="report"
    ),
    "endpoint": _Command("endpoint.__main__", "the embedded card endpoint", extra="endpoint", signals=()),
}
_OF_RUN_SH = {
    "setup": "installs a command's packages before its first use",
    "sbom": "what is installed, as a CycloneDX bill of materials",
    "bench": "the benchmarks",
    "test": "the tests",
    "check": "the tests, with linters and types",
}
"""Commands that `run.sh` serves by itself, and what they do."""


def main(arguments: Sequence[str]) -> int:
    """Hand the arguments to the command; one line instead of a traceback where they are wrong."""
    open_closed_streams()
    command, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if command.startswith("--") and command != "--help":  # options of a run alone, as Beam's own programs take them
        command, rest = "backfill", arguments
    if command in ("-h", "--help", "help"):
        print(f"usage: {program()} COMMAND [options]; {program()} COMMAND --help tells the options\n")
        does = {name: known.does for name, known in _COMMANDS.items()} | ({} if program() == INSTALLED else _OF_RUN_SH)
        print("\n".join(f"  {name:<10} {what}" for name, what in does.items()))
        return 0
    if command not in _COMMANDS:
        print(f"{program()}: unknown command {plain(command)}; expected one of {', '.join(_COMMANDS)}", file=sys.stderr)
        return EXIT_USAGE
    os.environ.setdefault("PYTHONSAFEPATH", "1")  # or a worker takes the modules of the folder that it is started in
    known = _COMMANDS[command]
    blocked = block_signals(known.signals)  # before a library is loaded that starts threads
    with plain_streams(), handled_signals(blocked, known.shutdown_status):
        importlib.import_module("pipeline.cli.terminal.logs").configure_logging(_log_format(rest))
        importlib.import_module("cardbeam.process").configure_process()
        return _run(command, rest)


def _run(command: str, arguments: Sequence[str]) -> int:
    try:
        status: int = importlib.import_module(_COMMANDS[command].module).main(arguments)
        sys.stdout.flush()
    except ModuleNotFoundError as error:
        if not (extra := _COMMANDS[command].extra):
            raise
        print(f"{program()} {command}: {error.name} is not installed; pip install 'cardbeam[{extra}]'", file=sys.stderr)
        return EXIT_USAGE
    except UsageError as error:
        print(f"{program()} {command}: {error}; see {program()} {command} --help", file=sys.stderr)
        return exit_status_of(error)
    except BrokenPipeError:  # who reads our output has seen enough, as `head` has
        drop_stdout()
        return _EXIT_PIPE
    except OSError as error:
        print(f"{program()} {command}: {redact(str(error))}", file=sys.stderr)
        return exit_status_of(error)
    except KeyboardInterrupt:
        more = "; the same command resumes the run" if _COMMANDS[command].is_resumed else ""
        print(f"interrupted{more}", file=sys.stderr)
        return _EXIT_INTERRUPTED
    return status


def _log_format(arguments: Sequence[str]) -> str:
    """As far as it can be told before the options are read: they may be wrong."""
    given = [one.partition("=")[2] for one in arguments if one.startswith("--log_format=")]
    return given[-1] if given else os.environ.get("CARDBEAM_LOG_FORMAT", "text")


def run_program() -> NoReturn:
    """Run the command that this process was started for, and end with its status."""
    status = main(sys.argv[1:])
    gc.freeze()  # all of it goes with the process: to look for garbage in it first takes half a second of CPU
    sys.exit(status)


if __name__ == "__main__":
    run_program()
