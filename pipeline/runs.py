"""Which run it is: a new one, or one that did not come to its end.

`run.json` is written when a run begins, `receipt.json` when it ends. The same command over
the same output goes on with a run that has the first and not the second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import Any

import orjson

from pipeline.exit import UsageError
from transforms.layout import JOURNAL, LEDGER, RUNS, run_file, run_id_of
from transforms.receipt import RECEIPT_FILE, read_receipt
from transforms.settings import Settings
from transforms.stop import STOP_FILE
from transforms.storage import Folder

RUN_FILE = "run.json"


@dataclass(frozen=True, slots=True)
class Run:
    """What run.json holds: how the run began."""

    run_id: str
    verb: str
    started_at: str
    asks: dict[str, Any]
    """The options that say which pictures are asked about, and what."""
    allowed_per_s: float = 0.0
    price_per_call: float = 0.0

    @property
    def began(self) -> datetime:
        """When it began."""
        return datetime.fromisoformat(self.started_at)


def find_run(folder: Folder, settings: Settings, verb: str, now: datetime) -> Run:
    """The run that this command begins or goes on with.

    Raises:
        UsageError: the run that was named is complete, or asks for something else.
    """
    begun = Run(
        settings.output.run_id or now.strftime("%Y%m%dT%H%M%SZ"),
        verb,
        now.astimezone(timezone.utc).isoformat(timespec="seconds"),
        _plain({**asdict(settings.input), **(asdict(settings.replay) if settings.replay else {})}),
        settings.rate.max_requests_per_second,
        settings.rate.price_per_call,
    )
    if settings.output.run_id:
        return _named(folder, begun)
    unfinished = [run for run in unfinished_runs(folder) if (run.verb, run.asks) == (verb, begun.asks)]
    return unfinished[-1] if unfinished else begun


def _named(folder: Folder, begun: Run) -> Run:
    receipt = read_receipt(folder, begun.run_id)
    if receipt is not None and receipt.status == "complete":
        raise UsageError(f"run {begun.run_id} is complete; leave --run_id out to begin a new one")
    found = read_run(folder, begun.run_id)
    if found is None:
        return begun
    if (found.verb, found.asks) != (begun.verb, begun.asks):
        raise UsageError(f"run {begun.run_id} was begun by {found.verb} with {found.asks}, got {begun.asks}")
    return found


def begin(folder: Folder, run: Run) -> None:
    """Say that the run is under way: from now on it has no receipt."""
    folder.delete([run_file(run.run_id, RECEIPT_FILE), run_file(run.run_id, STOP_FILE)])
    folder.write(run_file(run.run_id, RUN_FILE), orjson.dumps(asdict(run), option=orjson.OPT_INDENT_2))


def with_run(settings: Settings, run: Run) -> Settings:
    """The settings, under the run's name."""
    return replace(settings, output=replace(settings.output, run_id=run.run_id))


def read_run(folder: Folder, run_id: str) -> Run | None:
    """How a run began; None where it did not."""
    try:
        return Run(**orjson.loads(folder.read(run_file(run_id, RUN_FILE))))
    except FileNotFoundError:
        return None


def run_ids(folder: Folder) -> list[str]:
    """Every run that has begun, by name."""
    steps = (file.path.split("/") for file in folder.list(RUNS))
    return sorted({path[1] for path in steps if path[-1] == RUN_FILE})


def runs_with_answers(folder: Folder) -> list[str]:
    """Every run that has begun, or has a ledger or a journal, by name."""
    paths = (file.path for table in (LEDGER, JOURNAL) for file in folder.list(table))
    return sorted({run_id for path in paths if (run_id := run_id_of(path))} | set(run_ids(folder)))


def ended_runs(folder: Folder) -> list[str]:
    """Every run that has its receipt, by name: only their tables are whole."""
    steps = (file.path.split("/") for file in folder.list(RUNS))
    return sorted({path[1] for path in steps if path[-1] == RECEIPT_FILE})


def unfinished_runs(folder: Folder) -> Iterator[Run]:
    """Runs without a receipt, or that watched until they were killed, by name."""
    for run_id in run_ids(folder):
        run = read_run(folder, run_id)
        receipt = read_receipt(folder, run_id)
        if run is not None and (receipt is None or not receipt.has_ended):
            yield run


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """As it comes back from JSON."""
    plain: dict[str, Any] = orjson.loads(orjson.dumps(value))
    return plain
