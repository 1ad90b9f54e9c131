"""`erase`: removes persons from an output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from cardbeam.config.options import SettingError, option, validate_output
from cardbeam.erasure.apply_plan import apply_plan, count_rows
from cardbeam.erasure.plan import ErasurePlan, open_plans, write_plan
from cardbeam.erasure.selection.select_items import SelectedItems, Selection, erased_items, select_items
from cardbeam.storage.folder import Folder, open_folder
from cardbeam.storage.open_uri import SourceError, open_source
from pipeline.catalog.erasure import finish, new_plan
from pipeline.catalog.iceberg.register import CatalogSettings, open_catalog
from pipeline.cli.exit_codes import EXIT_COMPLETE, EXIT_LATER, UsageError
from pipeline.cli.options import parse
from pipeline.cli.terminal.output import tell
from pipeline.runs.lock import LockHeld
from pipeline.runs.start_run import locked_output

_MAX_SHOWN = 20


@dataclass(frozen=True, slots=True)
class EraseSettings:
    """Who is erased, and from which output."""

    output: str = option("", help="The output folder of the runs.")
    item_id: tuple[str, ...] = option((), help="Erase this item. Can be given several times.")
    uri: tuple[str, ...] = option((), help="Erase every image that was read from this URI.")
    label: tuple[str, ...] = option((), help="Erase every image with this label, as KEY=VALUE.")
    number_file: str = option("", help="URI of a file of document numbers, one a line: erase every image of them.")
    forget: bool = option(
        False, help="Let the images of these --item_id, which were erased, be sent again. Erases nothing."
    )
    dry_run: bool = option(False, help="Print what would be erased, and change nothing.")

    def validate(self) -> Iterator[SettingError]:
        """What is wrong with it, in words."""
        yield from validate_output(self.output)
        if not (self.item_id or self.uri or self.label or self.number_file):
            yield "nothing to erase: give --item_id, --uri, --label or --number_file"
        if self.forget and not (self.item_id and not (self.uri or self.label or self.number_file)):
            yield "--forget takes --item_id alone: of what is erased nothing else is known"
        if any("=" not in one for one in self.label):
            yield "--label has no '=', expected KEY=VALUE"


def main(arguments: Sequence[str]) -> int:
    """Remove persons from all tables, files and runs of an output; their images are not sent again."""
    (asked, catalog), _ = parse("erase", str(main.__doc__), arguments, EraseSettings, CatalogSettings, runner=None)
    folder, selection = open_folder(asked.output), _selection(asked)
    if catalog.catalog:
        open_catalog(catalog.catalog)
    if asked.dry_run:
        _tell_found(folder, *_find(folder, asked, selection))
        return EXIT_COMPLETE
    begun = list(open_plans(folder))
    try:
        with locked_output(folder, what="erase"):
            for plan in begun:
                finish(folder, plan)
            return _erase(folder, asked, selection, catalog, has_finished=bool(begun))
    except LockHeld as error:
        plan = _planned(folder, asked, selection, catalog)
        tell(f"{error}. Erasure {plan.erasure_id} is planned: the next command over this --output carries it out")
        return EXIT_LATER


def _selection(asked: EraseSettings) -> Selection:
    labels = tuple((key, value) for key, _, value in (one.partition("=") for one in asked.label))
    return Selection(asked.item_id, asked.uri, labels, _numbers(asked.number_file))


def _numbers(uri: str) -> tuple[str, ...]:
    if not uri:
        return ()
    try:
        with open_source(uri) as file:
            lines = file.read().decode("utf-8-sig").splitlines()
    except (SourceError, OSError) as error:
        raise UsageError(f"--number_file {uri} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--number_file {uri} is no UTF-8 text") from None
    numbers = tuple(filter(None, map(str.strip, lines)))
    if not numbers:
        raise UsageError(f"--number_file {uri} holds no number")
    return numbers


def _find(folder: Folder, asked: EraseSettings, selection: Selection) -> tuple[SelectedItems, dict[str, int], set[str]]:
    found = SelectedItems(erased_items(folder, asked.item_id)) if asked.forget else select_items(folder, selection)
    return found, *count_rows(folder, found.item_ids)


def _tell_found(folder: Folder, found: SelectedItems, rows: dict[str, int], run_ids: set[str]) -> None:
    counts = ", ".join(f"{count:,} {table}" for table, count in rows.items())
    tell(f"{len(found.item_ids):,} items in {len(run_ids):,} runs of {folder.root}; rows: {counts}")
    for item_id in sorted(found.item_ids)[:_MAX_SHOWN]:
        tell(f"  {item_id}" + (" shows several persons" if item_id in found.shared else ""))
    if len(found.item_ids) > _MAX_SHOWN:
        tell(f"  and {len(found.item_ids) - _MAX_SHOWN:,} more")
    if found.shared:
        tell(f"{len(found.shared):,} images show several persons: all of them go with these images, and no other image")


def _planned(folder: Folder, asked: EraseSettings, selection: Selection, catalog: CatalogSettings) -> ErasurePlan:
    """Write down what is found.

    Raises:
        UsageError: nothing is.
    """
    found, rows, run_ids = _find(folder, asked, selection)
    if not found.item_ids:
        raise UsageError(f"no image in --output {asked.output} matches")
    _tell_found(folder, found, rows, run_ids)
    given = {"item_id": asked.item_id, "uri": asked.uri, "label": asked.label, "number_file": selection.numbers}
    selected_by = {name: len(values) for name, values in given.items() if values}
    plan = new_plan(folder, found.item_ids, selected_by, catalog, datetime.now(timezone.utc), counted=(rows, run_ids))
    plan = replace(plan, forget=asked.forget)
    write_plan(folder, plan)
    return plan


def _erase(
    folder: Folder, asked: EraseSettings, selection: Selection, catalog: CatalogSettings, *, has_finished: bool
) -> int:
    try:
        plan = _planned(folder, asked, selection, catalog)
    except UsageError as error:
        if not has_finished:
            raise
        tell(f"{error}: the erasure that was begun has ended")
        return EXIT_COMPLETE
    return finish(folder, apply_plan(folder, plan, datetime.now(timezone.utc)))
