"""Every PCollection of every graph has a real type, and no card text enters a shuffle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.pvalue import PCollection
from apache_beam.typehints import TypeCheckError, typehints

from cardbeam.config.settings import (
    EndpointSettings,
    InputSettings,
    OutputSettings,
    RateSettings,
    ReplaySettings,
    Settings,
    WatchSettings,
)
from cardbeam.model.part import WrittenFile
from cardbeam.model.request import Request
from cardbeam.tables.parts.parsed_rows import ParsedRows
from pipeline import graph
from schemas.documents import DOCUMENT_TYPES
from transforms.call_endpoint import CallEndpoint
from transforms.filter_processed import FilterProcessed
from transforms.finalize_run import FinalizeRun
from transforms.list_inputs import ListInputs
from transforms.parse_responses import ParseResponses
from transforms.shared_index import SharedIndex
from transforms.write_tables import WriteTables

OUTPUT = OutputSettings("out", "run-1")
SETTINGS = Settings(InputSettings(("in/*.jpg",)), EndpointSettings(), RateSettings(), OUTPUT, ReplaySettings())
STARTED = datetime(2026, 11, 22, 1, tzinfo=timezone.utc)
BUILDS: dict[str, Callable[[beam.Pipeline], object]] = {
    "backfill": lambda pipeline: graph.backfill(pipeline, SETTINGS, STARTED),
    "replay": lambda pipeline: graph.replay(pipeline, SETTINGS, STARTED),
    "publish": lambda pipeline: graph.publish(pipeline, OUTPUT, ["run-1"]),
    "watch": lambda pipeline: graph.watch(pipeline, SETTINGS, WatchSettings(), "session", STARTED),
}
SHUFFLES = ("GroupByKey", "CoGroupByKey", "Reshuffle", "ReshufflePerKey")


def built(command: str) -> list[AppliedPTransform]:
    """Every step of a command's graph, composites included."""
    options = PipelineOptions(["--streaming"] if command == "watch" else [])
    pipeline = beam.Pipeline("FnApiRunner", options=options)
    BUILDS[command](pipeline)
    steps: list[AppliedPTransform] = []

    class Visitor(PipelineVisitor):
        def enter_composite_transform(self, transform_node: AppliedPTransform) -> None:
            steps.append(transform_node)

        def visit_transform(self, transform_node: AppliedPTransform) -> None:
            steps.append(transform_node)

    pipeline.visit(Visitor())
    return steps


def inside_beam(step: AppliedPTransform) -> bool:
    """Whether a step is a part of one of Beam's own composites."""
    parent = step.parent
    while parent is not None and parent.transform is not None:
        if type(parent.transform).__module__.startswith("apache_beam"):
            return True
        parent = parent.parent
    return False


def outputs(step: AppliedPTransform) -> Iterator[PCollection]:
    return (one for one in step.outputs.values() if isinstance(one, PCollection))


def holds_any(kind: Any) -> bool:
    inner = getattr(kind, "_inner_types", None)
    return kind is None or kind == typehints.Any or any(map(holds_any, inner() if inner else ()))


@pytest.mark.parametrize("command", BUILDS)
def test_every_pcollection_has_a_type(command: str) -> None:
    """None is Any, in whole or in part, but inside Beam's own composites."""
    steps = [step for step in built(command) if not inside_beam(step)]
    untyped = [
        (step.full_label, str(one.element_type))
        for step in steps
        for one in outputs(step)
        if holds_any(one.element_type)
    ]
    assert (untyped, len(steps) > 5) == ([], True)


def test_the_split_by_document_type_is_visible() -> None:
    """The parsing step has an output for each document type, one for dead letters, one for the ledger."""
    (parse,) = [step for step in built("backfill") if step.full_label == "Parse responses/Parse"]
    kinds = {str(tag): one.element_type for tag, one in parse.outputs.items()}
    assert {tag for tag, kind in kinds.items() if kind is ParsedRows} == {*DOCUMENT_TYPES, "dead_letters", "ledger"}


def mentions(kind: Any, wanted: type) -> bool:
    inner = getattr(kind, "_inner_types", None)
    return kind is wanted or any(mentions(one, wanted) for one in (inner() if inner else ()))


@pytest.mark.parametrize("command", BUILDS)
def test_no_rows_enter_a_shuffle(command: str) -> None:
    """Neither a GroupByKey, nor a Reshuffle, nor a side input takes rows of a table."""
    taken = [
        (step.full_label, one.element_type)
        for step in built(command)
        if type(step.transform).__name__ in SHUFFLES
        for one in step.inputs
    ]
    taken += [(step.full_label, side.pvalue.element_type) for step in built(command) for side in step.side_inputs]
    assert [label for label, kind in taken if mentions(kind, ParsedRows)] == []
    assert taken


@pytest.mark.parametrize("command", ["backfill", "publish"])
def test_rows_are_written_where_they_are_parsed(command: str) -> None:
    """Nothing but the writing of its table takes an output of the parsing step: a runner fuses these."""
    takers = [
        (step.full_label, type(step.transform).__name__)
        for step in built(command)
        if not step.parts and any(one.element_type is ParsedRows for one in step.inputs)
    ]
    assert len(takers) == len(DOCUMENT_TYPES) + 2
    assert {kind for _, kind in takers} == {"ParDo"}


INDEX = SharedIndex(SETTINGS)
WRONG: dict[str, Callable[[beam.Pipeline], object]] = {
    "ints to list": lambda p: p | beam.Create([1]) | ListInputs(SETTINGS.input),
    "URIs to filter": lambda p: p | beam.Create(["a.jpg"]) | FilterProcessed(SETTINGS.input, INDEX),
    "requests to call": lambda p: p | beam.Create([Request("ekyc/card", ())]) | CallEndpoint(SETTINGS, INDEX),
    "requests to parse": lambda p: p | beam.Create([Request("ekyc/card", ())]) | ParseResponses(OUTPUT),
    "files to write": lambda p: p | beam.Create([WrittenFile("", "", "", 0, 0)]) | WriteTables(OUTPUT),
    "URIs to finalize": lambda p: p | beam.Create(["a.jpg"]) | FinalizeRun(SETTINGS, STARTED),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_order_fails_at_construction(wrong: str) -> None:
    """A transform that is given what another one takes says so before anything runs."""
    with pytest.raises(TypeCheckError):
        WRONG[wrong](beam.Pipeline("FnApiRunner", options=PipelineOptions([])))
