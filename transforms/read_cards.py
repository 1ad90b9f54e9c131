"""ReadCards: the calls as one transform of any batch pipeline. URIs of images -> Arrow tables of what their cards say.

Its store is a folder like the output of `backfill`. Each response is in the store's journal before anything else
happens to it, so a bundle that is retried, or a pipeline that is run again, gets it from there without a call.
What the transform gives is read from the store once all calls have ended. From there on card text is in the
user's pipeline: what shuffles, writes or logs it is the user's.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from datetime import datetime, timezone
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import AsIter, TaggedOutput
from apache_beam.transforms.window import GlobalWindows
from apache_beam.typehints import with_input_types, with_output_types
from apache_beam.utils.windowed_value import WindowedValue

from cardbeam.config.settings import EndpointSettings, InputSettings, OutputSettings, RateSettings, Settings
from cardbeam.errors import CardbeamError
from cardbeam.index.id_array import IdSet, to_ids
from cardbeam.inputs.manifests.request_rows import Row, request_of
from cardbeam.inputs.manifests.stat_many import stat_many
from cardbeam.model.part import Part, PartCounts
from cardbeam.model.request import Request
from cardbeam.model.result import FOUND, Counts, RequestOutcome, RequestResult, StatusCount
from cardbeam.process import configure_process
from cardbeam.run_state.layout import DEAD_LETTERS, DOCUMENT_TABLES, JOURNAL, LEDGER, run_file, run_id_of
from cardbeam.run_state.liveness.run_lock import refuse_if_taken_over
from cardbeam.run_state.stop_signal import STOP_FILE, read_stop
from cardbeam.tables.parts.parsed_rows import of_items, parse_part
from cardbeam.tables.parts.part_plan import plan_items
from transforms.call_endpoint import CallEndpoint
from transforms.filter_processed import GroupDuplicates
from transforms.shared_index import SharedIndex

_TAGS = {**DOCUMENT_TABLES, DEAD_LETTERS: DEAD_LETTERS, LEDGER: "responses"}
_STATS_AT_ONCE = 1000


class NotAllAnswered(CardbeamError, RuntimeError):
    """Requests were left: what the pipeline would go on with is not whole."""


class CardTables(NamedTuple):
    """Arrow tables, some rows in each: documents by type, dead letters, and responses as they came.

    Their schemas are `schema_of(type)`, `DEAD_LETTERS_SCHEMA` and `LEDGER_SCHEMA` of `schemas`. Responses hold a row
    for each input that the store knows of these images, with its labels; `item_id` joins them to the documents.
    """

    documents: dict[str, beam.PCollection[pa.Table]]
    dead_letters: beam.PCollection[pa.Table]
    responses: beam.PCollection[pa.Table]


@with_input_types(str | dict[str, Any])
class ReadCards(beam.PTransform):
    """URIs, or rows with `uri` (`front_uri`, `back_uri`) and labels -> CardTables.

    `store` is a folder or bucket prefix that all workers reach; one pipeline or command uses it at a time.
    Options are those of `backfill` about endpoint, rate and duplicates, by name: `endpoint_url`,
    `max_requests_per_second`, `operation`, …

    Raises:
        ValueError: an option is unknown or has a value that does not fit; or, when it is applied, the input has no end.
    """

    def __init__(self, store: str, **options: Any) -> None:
        super().__init__()
        self._settings = _settings(store, options)

    def expand(self, images: beam.PCollection[str | dict[str, Any]]) -> CardTables:
        """Call for what the store does not hold, then read the store."""
        if not images.is_bounded:
            raise ValueError("ReadCards takes a PCollection with an end; `watch` reads images as they appear")
        settings = self._settings
        requests = (
            images
            | "One window" >> beam.WindowInto(GlobalWindows())
            | "To requests" >> beam.ParDo(_RequestFn(settings.input.operation)).with_outputs("found", main="requests")
        )
        groups = requests.requests | "Group duplicates" >> GroupDuplicates(settings.input)
        called = (groups, (requests.found,)) | "Call endpoint" >> CallEndpoint(settings, SharedIndex(settings))
        items = called.results | "Items" >> beam.ParDo(_ItemFn())
        parts = called.counts | "Plan parts" >> beam.ParDo(_PlanFn(settings.output), AsIter(items))
        parse = beam.ParDo(_ParseFn(settings.output), AsIter(items)).with_outputs(*_TAGS.values())
        parsed = parts | "Spread parts" >> beam.Reshuffle() | "Parse responses" >> parse
        documents = {name: parsed[name] for name in DOCUMENT_TABLES.values()}
        return CardTables(documents, parsed[DEAD_LETTERS], parsed.responses)


def _settings(store: str, options: dict[str, Any]) -> Settings:
    groups: tuple[Any, ...] = (InputSettings, EndpointSettings, RateSettings)
    names = {group: {field.name for field in fields(group)} - {"input"} for group in groups}
    if unknown := options.keys() - set().union(*names.values()):
        raise ValueError(f"ReadCards: unknown option {sorted(unknown)[0]}; see the options of backfill")
    inputs, endpoint, rate = (
        group(**{name: options[name] for name in names[group] & options.keys()}) for group in groups
    )
    run_id = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"
    settings = Settings(inputs, endpoint, rate, OutputSettings(store, run_id))
    checked = (replace(settings.input, input=("-",)), settings.endpoint, settings.rate, settings.output)
    if errors := [error for group in checked for error in group.validate()]:
        raise ValueError("ReadCards: " + "; ".join(errors).replace("--output", "store").replace("--", ""))
    return settings


@with_input_types(str | dict[str, Any])
@with_output_types(Request, found=StatusCount)
class _RequestFn(beam.DoFn):
    """Requests with what a stat of their images tells, many at a time."""

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def setup(self) -> None:
        configure_process()

    def start_bundle(self) -> None:
        self._waiting: list[Request] = []
        self._count = 0

    def process(self, row: str | Row) -> Iterator[Request]:
        self._waiting.append(request_of(row, self._operation))
        self._count += 1
        if len(self._waiting) >= _STATS_AT_ONCE:
            waiting, self._waiting = self._waiting, []
            yield from stat_many(waiting)

    def finish_bundle(self) -> Iterator[WindowedValue | TaggedOutput]:
        yield from map(GlobalWindows.windowed_value, stat_many(self._waiting))
        if self._count:
            yield TaggedOutput("found", GlobalWindows.windowed_value((FOUND, self._count)))


@with_input_types(RequestResult)
@with_output_types(str)
class _ItemFn(beam.DoFn):
    """The keys of what was asked for."""

    def process(self, result: RequestResult) -> Iterator[str]:
        if result.item_id:
            yield result.item_id


@with_input_types(Counts, Iterable[str])
@with_output_types(Part)
class _PlanFn(beam.DoFn):
    """The parts of the store that hold what was asked for, once all of it has a result."""

    def __init__(self, output: OutputSettings) -> None:
        self._output = output

    def process(self, counts: Counts, items: Iterable[str]) -> list[Part]:
        folder = self._output.folder()
        refuse_if_taken_over(folder, self._output.run_id)
        if left := counts.get(RequestOutcome.DEFERRED.value):
            stop = read_stop(folder, run_file(self._output.run_id, STOP_FILE))
            reason = f": {stop.message}" if stop else ""
            raise NotAllAnswered(f"{left} images have no result{reason}. Rerun the pipeline to resume")
        runs = {run_id_of(file.path) for table in (LEDGER, JOURNAL) for file in folder.list(table)}
        return plan_items(folder, sorted(filter(None, runs)), _id_set(items))


@with_input_types(Part, Iterable[str])
@with_output_types(PartCounts, **dict.fromkeys(_TAGS.values(), pa.Table))
class _ParseFn(beam.DoFn):
    def __init__(self, output: OutputSettings) -> None:
        self._output = output

    def setup(self) -> None:
        configure_process()
        self._wanted: IdSet | None = None

    def process(self, part: Part, items: Iterable[str]) -> Iterator[TaggedOutput]:
        wanted = self._wanted = self._wanted or _id_set(items)  # the same for all parts
        for one in parse_part(self._output.folder(), part, with_ledger=True):
            if not isinstance(one, PartCounts) and (some := of_items(one, wanted)) is not None:
                yield TaggedOutput(_TAGS[one.table], some.rows)


def _id_set(items: Iterable[str]) -> IdSet:
    return IdSet.empty().merged(to_ids(list(items)))
