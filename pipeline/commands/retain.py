"""`retain`: removes images, responses and thumbnails from an output that are older than a policy keeps them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from cardbeam.config.options import SettingError, option, validate_output, validate_uri
from cardbeam.erasure.apply_plan import apply_plan
from cardbeam.erasure.drops import Drop, count_values, totals
from cardbeam.erasure.plan import ErasurePlan, open_plans, write_plan
from cardbeam.erasure.selection.aged_items import Due, aged_items, aged_values, dues_of
from cardbeam.erasure.selection.policy import Kept, PolicyError, parse_policy
from cardbeam.storage.folder import Folder, open_folder
from cardbeam.storage.open_uri import CANNOT_OPEN, SourceError, open_source
from cardbeam.storage.uris import redact
from pipeline.catalog.erasure import finish, new_plan
from pipeline.catalog.iceberg.register import CatalogSettings, open_catalog
from pipeline.cli.exit_codes import EXIT_COMPLETE, EXIT_LATER, UsageError
from pipeline.cli.options import parse
from pipeline.cli.terminal.output import tell
from pipeline.runs.lock import LockHeld
from pipeline.runs.start_run import locked_output


@dataclass(frozen=True, slots=True)
class RetainSettings:
    """How long what is known of images is kept, and in which output."""

    output: str = option("", help="The output folder of the runs.")
    policy: str = option(
        "",
        help="URI of a TOML file of rules, as examples/retention.toml: for how many days responses, thumbnails, "
        "documents and dead letters are kept, by type and label.",
    )
    dry_run: bool = option(False, help="Print how much each rule would remove, and change nothing.")

    def validate(self) -> Iterator[SettingError]:
        """What is wrong with it, in words."""
        yield from validate_output(self.output)
        yield from validate_uri("policy", self.policy)
        if not self.policy:
            yield "--policy is missing: give the URI of a TOML file of rules"


@dataclass(frozen=True, slots=True)
class _Policy:
    """A policy as it was read; `name` is how a certificate names it."""

    name: str
    dues: list[Due]


@dataclass(frozen=True, slots=True)
class _DueItems:
    """What is too old, in the order of the policy's ages."""

    item_ids: list[set[str]]
    drops: list[Drop | None]
    counts: list[int]
    """Images, or values that are dropped."""
    run_ids: set[str]
    """Runs with such a value."""

    @property
    def all_items(self) -> set[str]:
        """The images that go as a whole."""
        return set[str]().union(*self.item_ids)

    @property
    def dropping(self) -> list[tuple[Drop, int]]:
        """What is dropped of rows that stay, and how often."""
        return [(drop, count) for drop, count in zip(self.drops, self.counts, strict=True) if drop and count]


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


def main(arguments: Sequence[str], clock: Callable[[], datetime] = _utc_now) -> int:
    """Remove what is too old by a policy from all tables, files and runs; no image is sent again."""
    (asked, catalog), _ = parse("retain", str(main.__doc__), arguments, RetainSettings, CatalogSettings, runner=None)
    folder, policy = open_folder(asked.output), _read_policy(asked.policy)
    if catalog.catalog:
        open_catalog(catalog.catalog)
    if asked.dry_run:
        _tell_found(folder, policy, _find(folder, policy, clock()))
        return EXIT_COMPLETE
    begun = list(open_plans(folder))
    try:
        with locked_output(folder, what="retain"):
            statuses = [finish(folder, plan) for plan in begun]
            if (plan := _planned(folder, policy, catalog, clock())) is not None:
                statuses.append(finish(folder, apply_plan(folder, plan, clock())))
            return max(statuses, default=EXIT_COMPLETE)
    except LockHeld as error:
        plan = _planned(folder, policy, catalog, clock(), read_alone=True)
        more = (
            f" Erasure {plan.erasure_id} is planned: the next command over this --output carries it out."
            if plan
            else ""
        )
        tell(f"{error}.{more} Dead letters stay until the same command runs while no other does")
        return EXIT_LATER


def _read_policy(uri: str) -> _Policy:
    try:
        with open_source(uri) as file:
            content = file.read()
        return _Policy(f"{redact(uri)} sha256:{hashlib.sha256(content).hexdigest()}", dues_of(parse_policy(content)))
    except PolicyError as error:
        raise UsageError(f"--policy {uri}: {error}") from None
    except (SourceError, *CANNOT_OPEN) as error:
        raise UsageError(f"--policy {uri} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _find(folder: Folder, policy: _Policy, now: datetime, *, read_alone: bool = False) -> _DueItems:
    item_ids = aged_items(folder, policy.dues, now, read_alone=read_alone)
    drops = aged_values(folder, policy.dues, now)
    in_order = sorted((n for n, drop in enumerate(drops) if drop), key=lambda n: policy.dues[n].days)
    counted, run_ids = count_values(folder, [drop for n in in_order if (drop := drops[n])])
    values = dict(zip(in_order, counted, strict=True))
    counts = [values.get(number, len(ids)) for number, ids in enumerate(item_ids)]
    return _DueItems(item_ids, drops, counts, run_ids)


def _planned(
    folder: Folder, policy: _Policy, catalog: CatalogSettings, now: datetime, *, read_alone: bool = False
) -> ErasurePlan | None:
    """Write down what is too old; None where nothing is."""
    found = _find(folder, policy, now, read_alone=read_alone)
    _tell_found(folder, policy, found)
    if not any(found.counts):
        return None
    by_age = {due.name: count for due, count in zip(policy.dues, found.counts, strict=True)}
    plan = new_plan(folder, found.all_items, by_age, catalog, now)
    plan = replace(
        plan,
        policy=policy.name,
        run_ids=sorted({*plan.run_ids, *found.run_ids}),
        before={**plan.before, **totals(found.dropping)},
        drops=[drop.as_json() for drop, _ in found.dropping],
    )
    write_plan(folder, plan)
    return plan


_NOUNS = {
    Kept.RESPONSES: "responses",
    Kept.THUMBNAILS: "thumbnails",
    Kept.DOCUMENTS: "images with a document",
    Kept.DEAD_LETTERS: "images without a document",
}


def _tell_found(folder: Folder, policy: _Policy, found: _DueItems) -> None:
    for due, count in zip(policy.dues, found.counts, strict=True):
        tell(f"{due.rule.name}: {count:,} {_NOUNS[due.kept]} older than {due.days:,} days")
    dropped = totals(found.dropping)
    responses, thumbnails = (dropped.get(kept.value, 0) for kept in (Kept.RESPONSES, Kept.THUMBNAILS))
    tell(
        f"{len(found.all_items):,} images, {responses:,} responses and {thumbnails:,} thumbnails of {folder.root} are "
        "older than the policy keeps them"
    )
