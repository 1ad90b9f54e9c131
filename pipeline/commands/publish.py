"""`publish`: tables again from the answers held."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam

from cardbeam.config.options import SettingError, option
from cardbeam.config.settings import OutputSettings
from cardbeam.run_state.receipt import read_receipt
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import Folder
from cardbeam.tables.check_output import check_journal
from pipeline import graph
from pipeline.catalog.iceberg.register import CatalogSettings, NotRegistered, open_catalog, register
from pipeline.cli.exit_codes import EXIT_COMPLETE, EXIT_FAILED, UsageError, exit_status_of
from pipeline.cli.options import parse
from pipeline.launch.failure import cause
from pipeline.launch.runner import opened_runner
from pipeline.runs.registry import runs_with_answers
from pipeline.runs.start_run import locked_output


@dataclass(frozen=True, slots=True)
class PublishSettings:
    """Which runs. The option that begins a run has this name too: this is what it means here."""

    run_id: str = option("", help="The run whose tables are made again; default all.")

    def validate(self) -> Iterator[SettingError]:
        """Which runs there are, the output tells."""
        yield from ()


def main(arguments: Sequence[str]) -> int:
    """Make the tables of one run (--run_id) or of all again from ledger and journal; nothing is called."""
    groups = (PublishSettings, OutputSettings, CatalogSettings)
    (_, output, asked), options = parse("publish", str(main.__doc__), arguments, *groups)
    catalog = open_catalog(asked.catalog) if asked.catalog else None
    folder = output.folder()
    found = runs_with_answers(folder)
    if output.run_id and output.run_id not in found:
        raise UsageError(f"--run_id {output.run_id} has no answers in {output.output}; there are {', '.join(found)}")
    chosen = [output.run_id] if output.run_id else found
    if not chosen:
        raise UsageError(f"--output {output.output} holds no answers; run a backfill into it first")
    with locked_output(folder, keep_replaced_s=output.keep_replaced_s) as closed:
        published = {receipt.run_id for receipt in closed if receipt.reconciled and not receipt.damaged}
        try:
            if left := [run_id for run_id in chosen if run_id not in published]:
                with opened_runner(options) as runner, beam.Pipeline(runner=runner, options=options) as pipeline:
                    graph.publish(pipeline, output, left)
            if catalog is not None:
                register(catalog, asked.namespace, folder, chosen)
        except UsageError:
            raise
        except NotRegistered as error:
            print(error, file=sys.stderr)
            return EXIT_FAILED
        except Exception as error:  # whatever a runner raises, the user gets one line
            print(f"publish failed: {cause(error)}; the same command makes the tables whole", file=sys.stderr)
            return exit_status_of(error)
    for run_id in chosen:
        print(_line(folder, run_id))
    damaged: list[DamagedFile] = []
    check_journal(folder, on_damage=damaged.append)
    for one in damaged:
        print(f"published without the records that are lost: {one}", file=sys.stderr)
    return EXIT_FAILED if damaged else EXIT_COMPLETE


def _line(folder: Folder, run_id: str) -> str:
    receipt = read_receipt(folder, run_id)
    if receipt is None:
        return f"run {run_id}: no receipt"
    rows = ", ".join(f"{count:,} {name}" for name, count in receipt.documents.items()) or "no documents"
    return f"run {run_id}: {rows}"
