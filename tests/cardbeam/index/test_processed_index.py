"""What is processed already, by item and by source, against a naive model of all records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from cardbeam.index.failures import Failure
from cardbeam.index.load import load_index
from cardbeam.index.processed_index import ProcessedIndex
from cardbeam.index.record_keys import key_table
from cardbeam.index.status import PriorStatus
from cardbeam.journal.local_writer import LocalJournal
from cardbeam.model.record import JournalRecord
from cardbeam.model.request import ImageRef, Labels, Request
from cardbeam.run_state.layout import LEDGER
from cardbeam.storage.folder import LocalFolder, StoredFile
from cardbeam.tables.files.table_file import TableRows, write_parquet
from cardbeam.tables.parts.read_part import ledger_table
from tests.records import answered, copy, failed_record, hex_id, keys_of

BEFORE, HERE = "run-1", "run-2"
RUNS = ("run-0", BEFORE, HERE)
ITEMS, SOURCES = range(5), range(100, 108)
LABELS: tuple[Labels, ...] = ((), (("a", "1"), ("b", "2")), (("a", "1"),))
CODES = ("error_1", "error_3", "http_500")


def item_of(source: int) -> int:
    """A source is one version of an image, so it has one item; an item has several sources, its duplicates."""
    return source % len(ITEMS)


def _record(kind: str, source: int | None, item: int, retriable: bool, labels: Labels, code: str) -> JournalRecord:
    item = item if source is None else item_of(source)
    make = {"succeeded": answered, "failed": failed_record, "duplicate": copy}[kind]
    failed = {"retriable": retriable, "code": code} if kind == "failed" else {}
    return make(item, source=source, labels=labels, **failed)


RECORDS = st.builds(
    _record,
    st.sampled_from(["succeeded", "failed", "failed", "duplicate"]),
    st.none() | st.sampled_from(SOURCES),
    st.sampled_from(ITEMS),
    st.booleans(),
    st.sampled_from(LABELS),
    st.sampled_from(CODES),
)
BY_RUN = st.lists(st.tuples(RECORDS, st.sampled_from(RUNS)), max_size=12)
ByRun = list[tuple[JournalRecord, str]]


@dataclass
class Model:
    """Plain dictionaries over all records, said as the design says it."""

    records: ByRun = field(default_factory=list)
    is_replay: bool = False

    def of_item(self, item_id: str) -> PriorStatus:
        statuses = [_standing(one, run) for one, run in self.records if one.item_id == item_id and not one.retriable]
        final = min(statuses, default=PriorStatus.UNKNOWN)
        if final is PriorStatus.FAILED_EARLIER_RUN and self.is_replay:
            final = PriorStatus.UNKNOWN
        failed = any(one.retriable and run == HERE for one, run in self.records if one.item_id == item_id)
        return PriorStatus.FAILED_THIS_RUN if final is PriorStatus.UNKNOWN and failed else final

    def of_source(self, source: int) -> tuple[PriorStatus, str]:
        mine = [(one, run) for one, run in self.records if one.source_id == hex_id(source)]
        prior = self.of_item(hex_id(item_of(source)))
        if self._is_final(hex_id(item_of(source))):
            is_known = bool(mine)
        else:
            is_known = any(one.retriable and run == HERE for one, run in mine)
        prior = prior if is_known else PriorStatus.UNKNOWN
        return prior, "" if prior is PriorStatus.UNKNOWN else hex_id(item_of(source))

    def _is_final(self, item_id: str) -> bool:
        final = (run == HERE or one.outcome == "succeeded" or not self.is_replay for one, run in self.finals(item_id))
        return any(final)

    def finals(self, item_id: str) -> ByRun:
        mine = [(one, run) for one, run in self.records if one.item_id == item_id]
        return [(one, run) for one, run in mine if one.outcome != "duplicate" and not one.retriable]

    def failures_of(self, item: int, source: int) -> int:
        failed = [(one, run) for one, run in self.records if run != HERE and one.retriable]
        return len({run for one, run in failed if one.item_id == hex_id(item) or one.source_id == hex_id(source)})

    def failure_of(self, item: int) -> list[Failure | None]:
        """Any of its codes; none where it is answered."""
        mine = [one for one, _ in self.records if one.item_id == hex_id(item) and one.outcome != "duplicate"]
        if not mine or any(one.outcome == "succeeded" for one in mine):
            return [None]
        final = [one for one in mine if not one.retriable]
        return [Failure(str(one.code), one.retriable) for one in final or mine]

    def has_input(self, input_id: str) -> bool:
        mine = [(one, run) for one, run in self.records if one.input_id == input_id]
        return any(not one.retriable or run == HERE for one, run in mine)


def _standing(one: JournalRecord, run: str) -> PriorStatus:
    if one.outcome == "duplicate":
        return PriorStatus.UNKNOWN
    first = PriorStatus.SUCCEEDED_THIS_RUN if one.outcome == "succeeded" else PriorStatus.FAILED_THIS_RUN
    return PriorStatus(first + (run != HERE))


def index_of(records: ByRun, **options: Any) -> ProcessedIndex:
    """An index of records, as it is loaded: a table a file."""
    tables = [(run, key_table([keys_of(one) for one, of in records if of == run])) for run in RUNS]
    return ProcessedIndex(tables, HERE, **options)


def known(index: ProcessedIndex | Model) -> list[object]:
    """All that the index tells."""
    by_source = [index.of_source(source if isinstance(index, Model) else hex_id(source)) for source in SOURCES]
    message = [(prior, "" if prior is PriorStatus.UNKNOWN else item_id) for prior, item_id in by_source]
    return [*(index.of_item(hex_id(item)) for item in ITEMS), *message]


@given(BY_RUN, st.booleans())
def test_the_index_is_a_dictionary_of_all_records(records: ByRun, is_replay: bool) -> None:
    """For any records of three runs, each item, source and input has the status that plain dictionaries give it."""
    index = index_of(records, is_replay=is_replay)
    model = Model(records, is_replay)
    assert known(index) == known(model)
    for one, _ in records:
        if one.input_id is not None:
            assert index.has_input(one.source_id, one.input_id) == model.has_input(one.input_id)
    for item in ITEMS:
        assert index.failure_of(hex_id(item)) in model.failure_of(item)


@given(BY_RUN)
def test_earlier_failures_are_counted_by_run(records: ByRun) -> None:
    """An image without a final result has failed in as many earlier runs as hold a retriable failure of it."""
    index, model = index_of(records), Model(records)
    for source in SOURCES:
        item = item_of(source)
        if not model.finals(hex_id(item)):
            assert index.failures_of(hex_id(item), hex_id(source)) == model.failures_of(item, source)


@given(BY_RUN, st.lists(RECORDS, max_size=8), st.integers(1, 9))
def test_what_is_noted_is_known(records: ByRun, recent: list[JournalRecord], max_recent: int) -> None:
    """What a process notes is known at once, as if it had been there from the start, also when its notes are merged.

    But for a source that was only ever a copy of something unprocessed: it may have to be opened again.
    """
    index = index_of(records, max_recent=max_recent)
    for record in recent:
        index.record(record)
    everything = [*records, *((record, HERE) for record in recent)]
    model = Model(everything)
    assert [index.of_item(hex_id(item)) for item in ITEMS] == [model.of_item(hex_id(item)) for item in ITEMS]
    for source in SOURCES:
        final = {one.source_id for one, _ in everything if one.outcome != "duplicate" and not one.retriable}
        unsure = [] if hex_id(source) in final else [PriorStatus.UNKNOWN]
        assert index.of_source(hex_id(source))[0] in [model.of_source(source)[0], *unsure]
    for one, _ in everything:
        if one.input_id is not None:
            assert index.has_input(one.source_id, one.input_id) == model.has_input(one.input_id)


@settings(max_examples=40)
@given(st.data(), st.lists(RECORDS, max_size=6), st.lists(RECORDS, max_size=6))
def test_ledger_and_journal_are_read_together(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    before: list[JournalRecord],
    here: list[JournalRecord],
) -> None:
    """Records count the same in a ledger file, in a journal, or in both, of this run or another."""
    folder = LocalFolder(str(tmp_path_factory.mktemp("output")))
    for run_id, records in ((BEFORE, before), (HERE, here)):
        in_ledger = data.draw(st.integers(0, len(records)))
        in_journal = data.draw(st.integers(0, in_ledger))
        write_parquet(folder, TableRows(LEDGER, run_id, "part-1", ledger_table(records[:in_ledger])))
        journal = LocalJournal(folder, run_id)
        for record in records[in_journal:]:
            journal.append(record)
    expected = Model([*((record, BEFORE) for record in before), *((record, HERE) for record in here)])
    assert known(load_index(folder, HERE)) == known(expected)


class Publishing(LocalFolder):
    """An output over which a watch publishes: before it is read, what was listed is merged or taken over."""

    def list(self, prefix: str) -> Iterator[StoredFile]:
        found = list(super().list(prefix))
        small = [file.path for file in found if file.path.endswith("small.parquet")]
        if small:
            merged = pa.concat_tables([pq.read_table(self.open(path)) for path in small])
            write_parquet(self, TableRows(LEDGER, HERE, "merged", merged))
        self.delete(small if prefix == LEDGER else [file.path for file in found])
        return iter(found)


def test_what_is_published_meanwhile(tmp_path: Path) -> None:
    """Ledger files that are merged while they are read are found again; a segment that is gone is no error."""
    folder = Publishing(str(tmp_path))
    for number in (1, 2):
        rows = ledger_table([answered(number, source=number)])
        write_parquet(folder, TableRows(LEDGER, HERE, f"{number}-small", rows))
    journal = LocalJournal(folder, HERE)
    journal.append(answered(3))
    index = load_index(folder, HERE)
    here = PriorStatus.SUCCEEDED_THIS_RUN
    assert [index.of_item(hex_id(item)) for item in (1, 2, 3)] == [here, here, PriorStatus.UNKNOWN]


def test_an_answer_replaces_an_earlier_death() -> None:
    """An image that failed unread under its source and was answered later is known as answered."""
    failed_records = failed_record(7, source=7, code="unreadable_image", stage="read")
    index = index_of([(failed_records, BEFORE), (answered(1, source=7), BEFORE)])
    assert index.of_source(hex_id(7)) == (PriorStatus.SUCCEEDED_EARLIER_RUN, hex_id(1))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=12), st.integers(0, 12), st.integers(1, 4))
def test_what_was_replaced_is_superseded(seen: list[tuple[int, int]], in_ledger: int, most_noted: int) -> None:
    """A version is superseded while another one of its place is the newest; one that was never seen is not known."""
    records = [structs.replace(answered(100 + version), source_id=_version(place, version)) for place, version in seen]
    index = index_of([(one, BEFORE) for one in records[:in_ledger]], max_recent=most_noted)
    for one in records[in_ledger:]:
        index.record(one)
    newest = dict(seen)
    for place in range(3):
        for version in {version for at, version in seen if at == place}:
            assert index.is_superseded(_version(place, version)) is (newest[place] != version)
    assert not index.is_superseded(None)


def _version(place: int, version: int) -> str:
    image = ImageRef(f"{place}.jpg", 10, f"v{version}")
    return str(Request("ekyc/card", (image,)).source_id)


def test_nothing_is_known_of_an_unknown_version() -> None:
    """A request without a source id is new until it is opened."""
    assert index_of([(answered(1), HERE)]).of_source(None) == (PriorStatus.UNKNOWN, "")


def test_an_empty_output_knows_nothing(tmp_path: Path) -> None:
    """Where no run has been, everything is new."""
    assert known(load_index(LocalFolder(str(tmp_path)), HERE)) == known(Model())
