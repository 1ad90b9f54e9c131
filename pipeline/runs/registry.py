"""The runs of an output: how each began, and which have not ended.

`run.json` is written when a run begins, `receipt.json` when it ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from itertools import chain, count
from typing import Any

import orjson

from cardbeam.config.settings import Settings
from cardbeam.model.moment import parse_moment
from cardbeam.run_state.layout import JOURNAL, LEDGER, RUNS, of_run, run_file, run_id_of
from cardbeam.run_state.receipt import RECEIPT_FILE, Receipt, read_receipt, redacted
from cardbeam.storage.damaged_file import DamagedFile, OnDamage, refuse
from cardbeam.storage.folder import Folder
from cardbeam.storage.state_file import encode_state, read_state
from pipeline.cli.exit_codes import UsageError

RUN_FILE = "run.json"
_READ_AT_ONCE = 16


class RunExists(UsageError):
    """A run cannot begin under the name of another, whatever became of that one."""

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"run {run_id} exists already: choose another --run_id or leave it out, a new run processes what is left"
        )


@dataclass(frozen=True, slots=True)
class Run:
    """What run.json holds: how the run began."""

    run_id: str
    command: str
    started_at: str
    settings: dict[str, Any] = field(default_factory=dict)
    """By option name; no secret."""
    allowed_per_s: float = 0.0
    price_per_call: float = 0.0

    @property
    def began(self) -> datetime:
        """When it began."""
        return parse_moment(self.started_at)


def new_run(folder: Folder, settings: Settings, command: str, now: datetime) -> Run:
    """The run that a command begins, under the name that was asked for or else its start in UTC.

    Raises:
        RunExists: there is a run of the name that was asked for.
    """
    asked = settings.output.run_id
    if asked and _is_known(folder, asked):
        raise RunExists(asked)
    return Run(
        asked or _free_name(folder, now),
        command,
        now.astimezone(timezone.utc).isoformat(timespec="seconds"),
        _plain(settings),
        settings.rate.max_requests_per_second,
        settings.rate.price_per_call,
    )


def begin(folder: Folder, run: Run) -> None:
    """Write down that the run has begun.

    Raises:
        RunExists: there is a run of its name.
    """
    if not folder.create(run_file(run.run_id, RUN_FILE), encode_state(run)):
        raise RunExists(run.run_id)


def _is_known(folder: Folder, run_id: str) -> bool:
    tables = (of_run(table, run_id) for table in (LEDGER, JOURNAL))
    return any(chain.from_iterable(map(folder.list, (f"{RUNS}/{run_id}", *tables))))


def _free_name(folder: Folder, now: datetime) -> str:
    """Names of one second are numbered."""
    name = now.astimezone(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    names = (f"{name}-{number}" if number > 1 else name for number in count(1))
    return next(one for one in names if not _is_known(folder, one))


def with_run(settings: Settings, run: Run) -> Settings:
    """The settings, under the run's name."""
    return replace(settings, output=replace(settings.output, run_id=run.run_id))


def read_run(folder: Folder, run_id: str) -> Run | None:
    """How a run began; None where it did not.

    Raises:
        DamagedFile: what is written down of it is damaged, or another program's.
    """
    path = run_file(run_id, RUN_FILE)
    run = read_state(folder, path, Run)
    if run is None:
        return None
    if run.run_id != run_id:
        raise DamagedFile.of(path, "is of another run")
    try:
        parse_moment(run.started_at)
    except ValueError:
        raise DamagedFile.of(path, "has a time that is none") from None
    return run


def run_ids(folder: Folder) -> list[str]:
    """Every run that has begun, by name."""
    return _with_file(folder, RUN_FILE)


def runs_with_answers(folder: Folder) -> list[str]:
    """Every run that has begun, or has a ledger or a journal, by name."""
    paths = (file.path for table in (LEDGER, JOURNAL) for file in folder.list(table))
    return sorted({run_id for path in paths if (run_id := run_id_of(path))} | set(run_ids(folder)))


def ended_runs(folder: Folder) -> list[str]:
    """Every run that has its receipt, by name: only their tables are whole."""
    return _with_file(folder, RECEIPT_FILE)


def receipts(folder: Folder, run_ids: Iterable[str], on_damage: OnDamage = refuse) -> dict[str, Receipt]:
    """The receipts of those runs that have one, by name; a damaged one is left out where `on_damage` goes on."""
    known = sorted(run_ids)
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        found = dict(zip(known, pool.map(partial(read_receipt, folder, on_damage=on_damage), known), strict=True))
    return {run_id: receipt for run_id, receipt in found.items() if receipt is not None}


def check_runs(folder: Folder) -> None:
    """Read how each run began.

    Raises:
        DamagedFile: what is written down of one is damaged.
    """
    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        for _ in pool.map(partial(read_run, folder), run_ids(folder)):
            pass


def _with_file(folder: Folder, name: str) -> list[str]:
    steps: Iterator[list[str]] = (file.path.split("/") for file in folder.list(RUNS))
    return sorted({path[1] for path in steps if len(path) == len((RUNS, "RUN", name)) and path[-1] == name})


def _plain(settings: Settings) -> dict[str, Any]:
    """The settings by option name, as they come back from JSON. They hold no secret by construction."""
    groups = (settings.input, settings.endpoint, settings.rate, settings.output)
    named = {name: redacted(value) for group in groups for name, value in asdict(group).items()}
    if settings.replay is not None:
        named["replay"] = asdict(settings.replay)
    plain: dict[str, Any] = orjson.loads(orjson.dumps(named))
    return plain
