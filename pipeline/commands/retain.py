"""`retain`: removes images from an output that are older than a policy keeps them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from cardbeam.config.options import SettingError, option, validate_output, validate_uri
from cardbeam.erasure.aged_items import aged_items
from cardbeam.erasure.apply_plan import apply_plan
from cardbeam.erasure.plan import ErasurePlan, open_plans, write_plan
from cardbeam.erasure.policy import PolicyError, Rule, parse_policy
from cardbeam.storage.folder import Folder, open_folder
from cardbeam.storage.open_uri import CANNOT_OPEN, SourceError, open_source
from cardbeam.storage.uris import redact
from pipeline.catalog.erasure import finish, new_plan
from pipeline.catalog.iceberg import CatalogSettings, open_catalog
from pipeline.cli.exit_codes import EXIT_COMPLETE, EXIT_LATER, UsageError
from pipeline.cli.options import parse
from pipeline.cli.output import tell
from pipeline.runs.lock import LockHeld
from pipeline.runs.start_run import locked_output


@dataclass(frozen=True, slots=True)
class RetainSettings:
    """How long images are kept, and in which output."""

    output: str = option("", help="The output folder of the runs.")
    policy: str = option(
        "",
        help="URI of a TOML file of rules, as examples/retention.toml. An image that is too old goes as a whole, with "
        "its documents, thumbnails, response, URIs and labels: there is no age for one of these alone.",
    )
    dry_run: bool = option(False, help="Print how many images each rule would remove, and change nothing.")

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
    rules: tuple[Rule, ...]


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


def main(arguments: Sequence[str], clock: Callable[[], datetime] = _utc_now) -> int:
    """Remove images that are too old by a policy from all tables, files and runs; they are not sent again."""
    (asked, catalog), _ = parse("retain", str(main.__doc__), arguments, RetainSettings, CatalogSettings, runner=None)
    folder, policy = open_folder(asked.output), _read_policy(asked.policy)
    if catalog.catalog:
        open_catalog(catalog.catalog)
    if asked.dry_run:
        _tell_found(folder, policy, aged_items(folder, policy.rules, clock()))
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
        return _Policy(f"{redact(uri)} sha256:{hashlib.sha256(content).hexdigest()}", parse_policy(content))
    except PolicyError as error:
        raise UsageError(f"--policy {uri}: {error}") from None
    except (SourceError, *CANNOT_OPEN) as error:
        raise UsageError(f"--policy {uri} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _planned(
    folder: Folder, policy: _Policy, catalog: CatalogSettings, now: datetime, *, read_alone: bool = False
) -> ErasurePlan | None:
    """Write down what is too old; None where nothing is."""
    found = aged_items(folder, policy.rules, now, read_alone=read_alone)
    _tell_found(folder, policy, found)
    item_ids = set[str]().union(*found.values())
    if not item_ids:
        return None
    plan = new_plan(folder, item_ids, {name: len(ids) for name, ids in found.items()}, catalog, now)
    plan = replace(plan, policy=policy.name)
    write_plan(folder, plan)
    return plan


def _tell_found(folder: Folder, policy: _Policy, found: dict[str, set[str]]) -> None:
    for rule in policy.rules:
        tell(f"{rule.name}: {len(found[rule.name]):,} images older than {rule.days:,} days")
    tell(f"{sum(map(len, found.values())):,} images of {folder.root} are older than the policy keeps them")
