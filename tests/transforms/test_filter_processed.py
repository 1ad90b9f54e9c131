"""What an earlier run processed is left out unopened; likely duplicates come together by size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from msgspec import structs

from cardbeam.config.settings import EndpointSettings, InputSettings, OutputSettings, RateSettings, Settings
from cardbeam.index.history import is_known
from cardbeam.index.processed_index import ProcessedIndex
from cardbeam.index.record_keys import key_table
from cardbeam.journal.local_writer import LocalJournal
from cardbeam.model.request import ImageRef, Request
from cardbeam.model.request_codec import unpack
from cardbeam.storage.folder import LocalFolder
from tests.records import answered, failed_record, keys_of
from transforms.filter_processed import FilterProcessed
from transforms.shared_index import SharedIndex


def request(name: str, *sizes: int | None, version: str | None = "v1") -> Request:
    images = tuple(ImageRef(f"{name}-{number}.jpg", size, version) for number, size in enumerate(sizes))
    return Request("ekyc/card" if len(sizes) == 1 else "ekyc/cards", images)


BEFORE, FAILED_EARLIER, HERE, PASSED = request("a", 10), request("b", 10), request("c", 10), request("d", 10)
COPY, OTHER, PAIR, TWIN = request("e", 10), request("f", 11), request("g", 10, 11), request("h", 10, 11)
UNKNOWN = [request("i", None, version=None), request("j", None, version=None), request("k", None, 10, version=None)]
REQUESTS = [BEFORE, FAILED_EARLIER, HERE, PASSED, COPY, OTHER, PAIR, TWIN, *UNKNOWN]


@pytest.fixture
def output(tmp_path: Path) -> OutputSettings:
    """What an earlier run answered, buried and could not reach, and what this run answered already."""
    folder = LocalFolder(str(tmp_path))
    earlier, here = LocalJournal(folder, "r0"), LocalJournal(folder, "r1")
    earlier.append(structs.replace(answered(1), source_id=BEFORE.source_id))
    earlier.append(structs.replace(failed_record(2), source_id=FAILED_EARLIER.source_id))
    earlier.append(structs.replace(failed_record(4, retriable=True), source_id=PASSED.source_id))
    here.append(structs.replace(answered(3), source_id=HERE.source_id))
    return OutputSettings(output=str(tmp_path), run_id="r1")


def test_known_images_with_other_labels_go_on() -> None:
    """What an earlier run processed is left out with the labels that are recorded of it, in any order, or with none."""
    labels = (("a", "1"), ("b", "2"))
    labelled, dead_labelled = (replace(one, labels=labels) for one in (BEFORE, FAILED_EARLIER))
    records = [
        structs.replace(answered(1, labels=labels), source_id=BEFORE.source_id),
        structs.replace(failed_record(2, labels=labels[:1]), source_id=FAILED_EARLIER.source_id),
    ]
    index = ProcessedIndex([("r0", key_table([keys_of(record) for record in records]))], "r1")
    asked = [labelled, replace(BEFORE, labels=labels[::-1]), BEFORE, replace(BEFORE, labels=labels[:1]), dead_labelled]
    assert [is_known(one, index) for one in [*asked, HERE]] == [True, True, True, False, False, False]


def test_an_image_that_is_put_back_goes_on() -> None:
    """What was replaced by another version is found again, and goes on; the newest version is left out."""
    first, second = request("a", 10), request("a", 10, version="v2")
    records = [
        structs.replace(answered(1), source_id=first.source_id),
        structs.replace(answered(2), source_id=second.source_id),
    ]
    index = ProcessedIndex([(f"r{number}", key_table([keys_of(one)])) for number, one in enumerate(records)], "r2")
    assert [is_known(one, index) for one in (first, second)] == [False, True]


def names(group: tuple[str, Iterable[bytes]]) -> tuple[str, ...]:
    return tuple(sorted(one.uris[0][0] for packed in group[1] for one in unpack(packed)))


@pytest.mark.parametrize(
    ("dedupe", "groups"),
    [
        ("content", [("c", "d", "e"), ("f",), ("g", "h"), ("i",), ("j",), ("k",)]),
        ("source", [("c",), ("d",), ("e",), ("f",), ("g",), ("h",), ("i",), ("j",), ("k",)]),
    ],
)
def test_what_is_left_comes_in_groups_of_likely_copies(
    dedupe: str, groups: list[tuple[str, ...]], output: OutputSettings
) -> None:
    """The answered and the failed of earlier runs are counted and left out; this run's own and the new go on.

    Images of one size meet, each pair by both sizes; those of unknown size, and all with --dedupe=source, alone.
    """
    given = InputSettings(input=("x",), dedupe=dedupe)
    settings = Settings(given, EndpointSettings(), RateSettings(), output)
    options = PipelineOptions(["--runner=FnApiRunner", "--direct_running_mode=in_memory"])
    with beam.Pipeline(options=options) as pipeline:
        requests = pipeline | beam.Create(REQUESTS)
        left, counted = requests | FilterProcessed(given, SharedIndex(settings))
        assert_that(left | beam.Map(names), equal_to(groups))
        assert_that(counted | "Sum" >> beam.CombinePerKey(sum), equal_to([("skipped", 2)]), label="counted")
