"""`status`: counts, rate, time left and cost of a run, from its files alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

from cardbeam.config.options import SettingError, option, validate_output
from cardbeam.run_state.detached_job import running_job
from cardbeam.run_state.receipt import read_receipt
from cardbeam.storage.damaged_file import DamagedFile, warn
from cardbeam.storage.folder import Folder, open_folder
from cardbeam.watch.publishing.unprocessed import still_open
from cardbeam.watch.watch_status import read_watch_status
from pipeline.cli.exit_codes import EXIT_COMPLETE, EXIT_FAILED, UsageError
from pipeline.cli.options import parse
from pipeline.cli.terminal.output_format import JSON, FormatSettings, as_json
from pipeline.runs.display.status import RecordCounter, line
from pipeline.runs.display.summary import summarize
from pipeline.runs.display.watch_lines import watch_lines
from pipeline.runs.liveness import Observer, is_alive
from pipeline.runs.registry import Run, read_run, run_ids

_REDRAW_S = 2.0
RUNNING, DEAD = "running", "dead"


@dataclass(frozen=True, slots=True)
class StatusSettings:
    """Which run is shown, and how often."""

    output: str = option("", help="The output folder of the run.")
    run_id: str = option("", help="Name of the run; default the newest.")
    watch: bool = option(False, help="Look again every two seconds until the run has ended.")

    def validate(self) -> Iterator[SettingError]:
        """What is wrong with it, in words."""
        yield from validate_output(self.output)


def _read_run(folder: Folder, run_id: str) -> Run | None:
    """How a run began, or its name alone where the file about it is damaged."""
    try:
        return read_run(folder, run_id)
    except DamagedFile as error:
        warn(error)
        return Run(run_id, "", datetime.fromtimestamp(0, timezone.utc).isoformat())


def main(arguments: Sequence[str]) -> int:
    """Tell how a run stands, while it runs and after; the newest where --run_id does not name one. Exit 4 if its
    process is gone and it did not end."""
    (asked, form), _ = parse("status", str(main.__doc__), arguments, StatusSettings, FormatSettings, runner=None)
    folder = open_folder(asked.output)
    known = run_ids(folder)
    run_id = asked.run_id or (known[-1] if known else "")
    if not known:
        raise UsageError(f"there is no run in --output {asked.output} yet: begin one with backfill or watch")
    run = _read_run(folder, run_id) if run_id in known else None
    if run is None:
        raise UsageError(f"there is no run {run_id} in --output {asked.output}; there are {', '.join(known)}")
    if form.format == JSON:
        facts = status_facts(folder, run, time.time())
        print(as_json(facts))
        return EXIT_FAILED if facts["status"] == DEAD else EXIT_COMPLETE
    return _show(folder, run, asked)


def status_facts(folder: Folder, run: Run, now_s: float) -> dict[str, Any]:
    """How a run stands: its receipt's fields if it has ended, else counts so far; of a watch its backlog and lag."""
    receipt = read_receipt(folder, run.run_id)
    if receipt is not None and receipt.has_ended:
        return {name: value for name, value in asdict(receipt).items() if name != "files"}
    lives = is_alive(Observer(folder, run.run_id))
    found = RecordCounter(folder, run.run_id).poll(now_s)
    facts = {"run_id": run.run_id, "command": run.command, "status": RUNNING if lives else DEAD, **asdict(found)}
    facts |= {"left": found.left, "cost": round(found.completed["succeeded"] * run.price_per_call, 6)}
    if run.command == "watch":
        watch = read_watch_status(folder, run.run_id)
        lag_s = None if watch.oldest_at_s is None else round(max(0.0, now_s - watch.oldest_at_s), 3)
        facts["watch"] = {**asdict(watch), "lag_s": lag_s}
    return facts


def _show(folder: Folder, run: Run, asked: StatusSettings) -> int:
    """Print how the run stands, again and again if that is asked for until it has ended; the exit status."""
    counter, observer = RecordCounter(folder, run.run_id), Observer(folder, run.run_id)
    damaged: list[DamagedFile] = []
    while (receipt := read_receipt(folder, run.run_id, damaged.append)) is None or not receipt.has_ended:
        if damaged:
            warn(damaged[0])
            print(f"run {run.run_id}  {line(run, counter.poll(time.time()))}")
            return EXIT_COMPLETE
        lives = observer.poll() if asked.watch else is_alive(observer)
        if receipt is None:
            print(f"run {run.run_id}  {line(run, counter.poll(time.time()))}", flush=True)
            if (job := running_job(folder, run.run_id)) is not None:
                print(f"  job        {job.job_id} of {job.runner}", flush=True)
        else:
            print(summarize(receipt, asked.output))
            print("\n".join(watch_lines(folder, run.run_id, time.time())), flush=True)
        if lives is False:
            print(f"  DEAD       {_epitaph(folder, run.run_id)}", flush=True)
            return EXIT_FAILED
        if not asked.watch:
            return EXIT_COMPLETE
        time.sleep(_REDRAW_S)
    print(summarize(receipt, asked.output))
    return EXIT_COMPLETE


def _epitaph(folder: Folder, run_id: str) -> str:
    """What is known of a run whose process is gone."""
    in_flight = still_open(folder, run_id)
    calls = f"up to {in_flight:,} calls were in flight" if in_flight else "no call was in flight"
    return f"its process is gone, and it did not end; {calls}. Rerun the same command to resume"
