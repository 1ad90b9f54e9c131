"""`report`: one page about a run, to read in the morning, and the list of all runs.

Made from the receipt and the tables; it shows counts, quantiles and ids, and nothing that was read from a card.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from cardbeam.run_state.layout import RUNS, run_file
from cardbeam.run_state.receipt import INTERRUPTED, WATCHING
from cardbeam.storage.folder import Folder
from pipeline.cli.exit_codes import UsageError
from pipeline.cli.private_folder import private_folder

if TYPE_CHECKING:
    import jinja2
    import markupsafe
    from duckdb import DuckDBPyConnection

_LOG = logging.getLogger("cardbeam")
REPORT_FILE = "report.html"
INDEX_FILE = f"{RUNS}/index.html"


def write_report(folder: Folder, run_id: str) -> str:
    """Write the page of a run that has ended, and the list of runs again; the page's path.

    Raises:
        UsageError: what draws and asks is not installed.
    """
    try:
        from pipeline.report.facts import connect_to_run, facts_of, shares_unsure  # noqa: PLC0415  # an extra
        from pipeline.report.plots import plot_confidences, plots_of  # noqa: PLC0415  # an extra

        templates = _templates()
    except ImportError as error:
        raise UsageError(f"{error.name} is not installed; pip install 'cardbeam[report]'") from None
    with private_folder() as scratch:
        connection = connect_to_run(folder, run_id, scratch=scratch)
        facts = facts_of(connection, run_id)
        page = templates.get_template("report.html").render(
            facts=facts,
            run=facts.run,
            sentence=sentence(facts.run),
            plots=plots_of(facts),
            unsure=shares_unsure(facts),
            confidences={name: plot_confidences(name, fields) for name, fields in facts.confidences.items()},
        )
        path = run_file(run_id, REPORT_FILE)
        folder.write(path, page.encode())
        _write_index(folder, templates, connection)
    return path


def report_if_possible(folder: Folder, run_id: str) -> str | None:
    """The page's path; None where it could not be made: a report never fails its run."""
    try:
        return write_report(folder, run_id)
    except Exception as error:  # whatever a library raises, the run has ended well and must say so
        _LOG.info("report not written: %s", type(error).__name__)
        return None


def _write_index(folder: Folder, templates: jinja2.Environment, connection: DuckDBPyConnection) -> None:
    runs = connection.sql("SELECT * FROM runs ORDER BY run_id DESC").to_arrow_table().to_pylist()
    with_report = {file.path.split("/")[1] for file in folder.list(RUNS) if file.path.endswith(f"/{REPORT_FILE}")}
    page = templates.get_template("index.html").render(runs=runs, with_report=with_report, report_file=REPORT_FILE)
    folder.write(INDEX_FILE, page.encode())


def _templates() -> jinja2.Environment:
    import jinja2  # noqa: PLC0415  # an extra

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters["shown"] = shown
    environment.filters["breakable"] = _breakable
    return environment


def _breakable(name: object) -> markupsafe.Markup:
    """A long name that a narrow page may break behind an underscore."""
    import markupsafe  # noqa: PLC0415  # comes with jinja2

    return markupsafe.Markup("_<wbr>").join(str(name).split("_"))


def shown(value: object) -> str:
    """A number with thousands set apart and three digits of what is small; anything else as it is."""
    if isinstance(value, float) and value != int(value):
        return f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,.0f}" if isinstance(value, (int, float)) else str(value)


_WHAT_NOW = {
    "complete": "The run is complete",
    "out_of_requests": "The account's requests ran out; the same command, given later, takes up what is left",
    "budget": "The run stopped at --max_calls or --max_cost; the same command takes up what is left",
    "time_window": "The run stopped at --until; the same command takes up what is left",
    "failed": "The run failed; the same command takes up what is left",
    INTERRUPTED: "The run was interrupted; the same command takes up what is left",
    WATCHING: "The run watches",
}


def sentence(run: dict[str, Any]) -> str:
    """What happened, in one sentence."""
    requests = run["requests"]
    ended = _WHAT_NOW.get(run["status"], f"The run ended as {run['status']}")
    deferred = f", {requests['deferred']:,} deferred" if requests["deferred"] else ""
    adds_up = "and the counts add up" if run["reconciled"] else "but the counts do not add up"
    return (
        f"{ended}: of {requests['found']:,} images found {requests['skipped']:,} were processed before, "
        f"{requests['succeeded']:,} succeeded and {requests['dead_lettered']:,} could not be read"
        f"{deferred}, {adds_up}."
    )
