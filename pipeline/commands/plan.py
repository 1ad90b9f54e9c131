"""`plan`: what backfill would do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import chain

from cardbeam.config.prices import affordable_calls
from cardbeam.config.settings import EndpointSettings, InputSettings, OutputSettings, RateSettings, Settings
from cardbeam.config.time_window import moment_us
from cardbeam.index.history import history_of
from cardbeam.index.load import load_index
from cardbeam.index.on_disk.source_join import SourceJoin
from cardbeam.index.processed_index import ProcessedIndex
from cardbeam.inputs.listing import check_inputs
from cardbeam.inputs.manifests.trusted_columns import Images, list_in_windows
from cardbeam.inputs.sample import list_all
from cardbeam.model.request import Request
from cardbeam.storage.folder import open_folder
from cardbeam.storage.open_uri import SourceError
from pipeline.cli.exit_codes import EXIT_COMPLETE, UsageError
from pipeline.cli.options import parse, refuse_overlap
from pipeline.cli.terminal.output_format import JSON, FormatSettings, as_json
from transforms.beam_files import use_beam_files

_NO_RUN = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a backfill would find and do, as far as it can be known without opening an image."""

    found: int
    answered_before: int
    duplicates: int
    to_call: int
    possible_duplicates: int
    """Of those to call, how many are of the same size as another: only reading tells whether they are duplicates."""


def main(arguments: Sequence[str]) -> int:
    """Say what a backfill with the same options would do; opens no image, calls nothing, writes nothing."""
    use_beam_files()
    groups = (InputSettings, EndpointSettings, RateSettings, OutputSettings, FormatSettings)
    (inputs, *others, form), _ = parse("plan", str(main.__doc__), arguments, *groups)
    settings = Settings(inputs, *others)
    refuse_overlap(settings)
    since_us = moment_us(settings.input.reread_before)
    index = load_index(open_folder(settings.output.output), settings.output.run_id or _NO_RUN, since_us=since_us)
    try:
        check_inputs(settings.input, reads_manifests=False)
        plan = make_plan(_listed(settings.input), index, settings.input.operation)
    except SourceError as error:
        raise UsageError(str(error)) from error
    print(as_json(plan_facts(plan, settings.rate)) if form.format == JSON else "\n".join(_lines(plan, settings.rate)))
    return EXIT_COMPLETE


def _listed(settings: InputSettings) -> Iterator[Images | Request]:
    if settings.sample:
        return list_all(settings.input, settings)
    return chain.from_iterable(list_in_windows(source, settings) for source in settings.input)


def make_plan(listed: Iterator[Images | Request], index: ProcessedIndex, operation: str) -> Plan:
    """Count requests by what would come of them; holds those in memory that would be called."""
    found = before = duplicates = 0
    to_call: set[str] = set()
    sizes: dict[tuple[int | None, ...], int] = {}
    join = SourceJoin(index)

    def counted() -> Iterator[Request]:
        nonlocal found
        for one in listed:
            found += 1 if isinstance(one, Request) else len(one)
            yield from join.add(one) if isinstance(one, Request) else join.add_images(operation, one)
        yield from join.rest()

    for request in counted():
        standing, _ = history_of(index, request).of_source(request.source_id)
        if standing.is_earlier_run:
            before += 1
        elif (key := request.fallback_id) in to_call:
            duplicates += 1
        else:
            to_call.add(key)
            size = tuple(image.size_bytes for image in request.images)
            sizes[size] = sizes.get(size, 0) + 1
    return Plan(found, before + join.known, duplicates, len(to_call), sum(count - 1 for count in sizes.values()))


def plan_facts(plan: Plan, rate: RateSettings) -> dict[str, int | float | str | None]:
    """The plan with what the budgets, the price and the rate make of it; None where there is no price or rate."""
    calls, bound = _bounded(plan.to_call, rate)
    return {
        **asdict(plan),
        "calls": calls,
        "deferred": plan.to_call - calls,
        "deferred_by": bound or None,
        "max_price": round(calls * rate.price_per_call, 6) if rate.price_per_call else None,
        "seconds": round(calls / rate.max_requests_per_second, 3) if rate.max_requests_per_second else None,
    }


def _lines(plan: Plan, rate: RateSettings) -> Iterator[str]:
    yield f"found            {plan.found:>12,}"
    yield f"skipped          {plan.answered_before:>12,}"
    yield f"duplicates       {plan.duplicates:>12,}"
    yield f"to call, at most {plan.to_call:>12,}" + (
        f"  ({plan.possible_duplicates:,} share their size with another and may be duplicates)"
        if plan.possible_duplicates
        else ""
    )
    calls, bound = _bounded(plan.to_call, rate)
    if bound:
        yield f"deferred         {plan.to_call - calls:>12,}  ({bound})"
    if rate.price_per_call:
        yield f"price, at most   {calls * rate.price_per_call:>12,.2f}"
    if rate.max_requests_per_second:
        duration = timedelta(seconds=round(calls / rate.max_requests_per_second))
        yield f"time at the rate {duration!s:>12}  (at {rate.max_requests_per_second:g} calls/s)"


def _bounded(calls: int, rate: RateSettings) -> tuple[int, str]:
    """How many of these calls the budgets allow, and the option that defers the others."""
    bounds = {"--max_calls": rate.max_calls} if rate.max_calls else {}
    if rate.max_cost:
        bounds["--max_cost"] = affordable_calls(rate.max_cost, rate.price_per_call)
    option, most = min(bounds.items(), key=lambda one: one[1], default=("", calls))
    return (most, option) if most < calls else (calls, "")
