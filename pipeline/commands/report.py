"""`report`: writes the report page of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cardbeam.config.options import SettingError, option, validate_output
from cardbeam.storage.folder import Folder, open_folder
from pipeline.cli.exit_codes import EXIT_COMPLETE, UsageError
from pipeline.cli.options import parse
from pipeline.cli.terminal.output_format import JSON, FormatSettings, as_json
from pipeline.report.page import write_report
from pipeline.runs.registry import ended_runs


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """Which run the page is about."""

    output: str = option("", help="The output folder of the run.")
    run_id: str = option("", help="Name of the run; default the newest that has ended.")

    def validate(self) -> Iterator[SettingError]:
        """What is wrong with it, in words."""
        yield from validate_output(self.output)


def main(arguments: Sequence[str]) -> int:
    """Write a page about a run, runs/RUN/report.html, and the list of runs, runs/index.html."""
    (asked, form), _ = parse("report", str(main.__doc__), arguments, ReportSettings, FormatSettings, runner=None)
    folder = open_folder(asked.output)
    known = ended_runs(folder)
    run_id = asked.run_id or (known[-1] if known else "")
    if run_id not in known:
        raise UsageError(
            f"--run_id {run_id} has not ended in --output {asked.output}; there are {', '.join(known)}"
            if known
            else f"no run has ended in --output {asked.output} yet: begin one with backfill"
        )
    page = f"{asked.output.rstrip('/')}/{write_report(folder, run_id)}"
    print(as_json({"page": page, **_facts(folder, run_id)}) if form.format == JSON else page)
    return EXIT_COMPLETE


def _facts(folder: Folder, run_id: str) -> dict[str, Any]:
    """What the page shows: counts, quantiles and shares, never a value of a card."""
    from pipeline.report.facts import connect_to_run, facts_of  # noqa: PLC0415  # an extra

    facts = asdict(facts_of(connect_to_run(folder, run_id), run_id))
    run = {name: value for name, value in facts.pop("run").items() if name not in ("files", "settings")}
    return {"run": run, **{name: value for name, value in facts.items() if name not in ("latencies_s", "trend")}}
