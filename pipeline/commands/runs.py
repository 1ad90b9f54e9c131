"""`runs`: all runs of an output, and how each stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from cardbeam.config.options import SettingError, option, validate_output
from cardbeam.model.moment import parse_moment
from cardbeam.run_state.liveness.run_lock import read_lock
from cardbeam.run_state.receipt import Receipt, read_receipt
from cardbeam.run_state.stop_signal import STOPPED, WATCH_STOPPED, StopSignal
from cardbeam.storage.damaged_file import DamagedFile, warn
from cardbeam.storage.folder import Folder, open_folder
from pipeline.cli.exit_codes import EXIT_COMPLETE, UsageError
from pipeline.cli.options import parse
from pipeline.cli.terminal.output_format import JSON, FormatSettings, as_json
from pipeline.runs.display.summary import COUNTS
from pipeline.runs.liveness import Observer, is_alive
from pipeline.runs.registry import Run, read_run, runs_with_answers

RUNNING, UNFINISHED, DAMAGED = "running", "unfinished", "damaged"
_READ_AT_ONCE = 16
_HEAD = ("run", "command", "status", "started", "finished", *COUNTS.values())
_ADVICE = "unfinished: its process is gone; the next launch over this --output publishes what it left"


@dataclass(frozen=True, slots=True)
class RunsSettings:
    """Which output is shown."""

    output: str = option("", help="The output folder of the runs.")
    stop: str = option(
        "",
        help="Stop this run, wherever it is in progress: within seconds nothing more is sent, requests in flight are "
        "finished, and its tables are written.",
    )

    def validate(self) -> Iterator[SettingError]:
        """What is wrong with it, in words."""
        yield from validate_output(self.output)


@dataclass(frozen=True, slots=True)
class _KnownImages:
    """What the files of a run say."""

    run_id: str
    run: Run | None = None
    receipt: Receipt | None = None
    is_damaged: bool = False

    @property
    def has_ended(self) -> bool:
        return self.receipt is not None and self.receipt.has_ended


def main(arguments: Sequence[str]) -> int:
    """List all runs with their status, times and counts of images, the oldest first; or stop one."""
    (asked, form), _ = parse("runs", str(main.__doc__), arguments, RunsSettings, FormatSettings, runner=None)
    if asked.stop:
        print(stop_run(open_folder(asked.output), asked.stop))
        return EXIT_COMPLETE
    if form.format == JSON:
        print(as_json({"runs": list(run_facts(open_folder(asked.output)))}))
        return EXIT_COMPLETE
    rows = list(run_rows(open_folder(asked.output)))
    if not rows:
        raise UsageError(f"there is no run in --output {asked.output} yet: begin one with backfill or watch")
    print("\n".join(_aligned([_HEAD, *rows])))
    if any(row[_HEAD.index("status")] == UNFINISHED for row in rows):
        print(_ADVICE)
    return EXIT_COMPLETE


def stop_run(folder: Folder, run_id: str) -> str:
    """Have the workers of a run stop: they read the reason in its folder every second. What was done, in words.

    Raises:
        UsageError: there is no such run, or it has ended.
    """
    run, receipt = read_run(folder, run_id), read_receipt(folder, run_id)
    if run is None:
        raise UsageError(f"there is no run {run_id} in --output {folder.root}: `runs` lists them")
    if receipt is not None and receipt.has_ended:
        raise UsageError(f"run {run_id} has ended already, with status {receipt.status}")
    StopSignal(folder, run_id).set(WATCH_STOPPED if run.command == "watch" else STOPPED)
    return f"run {run_id}: sends nothing more; requests in flight are finished. `status` shows when it has ended"


def run_rows(folder: Folder) -> Iterator[tuple[str, ...]]:
    """Each run as a row of the table, by its start."""
    known, running = _all_runs(folder)
    return (_row(one, running) for one in known)


def run_facts(folder: Folder) -> Iterator[dict[str, Any]]:
    """What is known of each run, by its start: its status and command, and its receipt's fields but for its files."""
    known, running = _all_runs(folder)
    for one in known:
        receipt = asdict(one.receipt) if one.receipt else {}
        facts = {name: value for name, value in receipt.items() if name != "files"}
        command = one.run.command if one.run else ""
        about = {"run_id": one.run_id, "command": command, "started_at": _started_at(one)}
        yield {**facts, **about, "status": _status(one, running)}


def _all_runs(folder: Folder) -> tuple[list[_KnownImages], str]:
    """All runs by their start, and the name of the one that runs."""
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        known = list(pool.map(partial(_known, folder), runs_with_answers(folder)))
    running = _running(folder) if not all(one.has_ended for one in known) else ""
    return sorted(known, key=_started_at), running


def _known(folder: Folder, run_id: str) -> _KnownImages:
    try:
        return _KnownImages(run_id, read_run(folder, run_id), read_receipt(folder, run_id))
    except DamagedFile as error:
        warn(error)
        return _KnownImages(run_id, is_damaged=True)


def _running(folder: Folder) -> str:
    """The run whose process holds the lock and lives; in a bucket this waits for its next heartbeat."""
    try:
        held = read_lock(folder)
    except ValueError:  # it is being written
        return ""
    run_id = str(held.get("run_id", "")) if held else ""
    return run_id if run_id and is_alive(Observer(folder, run_id)) else ""


def _row(known: _KnownImages, running: str) -> tuple[str, ...]:
    receipt = known.receipt
    counts = (f"{receipt.requests[name]:,}" if receipt else "" for name in COUNTS)
    command = known.run.command if known.run else ""
    finished = _time(receipt.finished_at) if receipt and known.has_ended else ""
    return (known.run_id, command, _status(known, running), _time(_started_at(known)), finished, *counts)


def _status(known: _KnownImages, running: str) -> str:
    if known.is_damaged:
        return DAMAGED
    if known.receipt and known.has_ended:
        return known.receipt.status
    return RUNNING if known.run_id == running else UNFINISHED


def _started_at(known: _KnownImages) -> str:
    if known.run:
        return known.run.started_at
    return known.receipt.started_at if known.receipt else ""


def _time(text: str) -> str:
    return f"{parse_moment(text):%Y-%m-%d %H:%M:%S}" if text else ""


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Words to the left, counts to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    words = len(_HEAD) - len(COUNTS)
    for row in rows:
        cells = [
            cell.ljust(width) if number < words else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
