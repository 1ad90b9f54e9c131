"""The index on disk tells what an index of all records tells, whatever runs there were and however it grew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from cardbeam.index.failures import Failure
from cardbeam.index.history import RequestHistory, history_of, is_known
from cardbeam.index.load import load_index
from cardbeam.index.on_disk.source_join import SourceJoin, Spilled, looked_up
from cardbeam.index.on_disk.update import update_index
from cardbeam.index.processed_index import ProcessedIndex
from cardbeam.index.record_keys import journal_keys, ledger_keys
from cardbeam.index.status import PriorStatus
from cardbeam.journal.local_writer import LocalJournal
from cardbeam.model.record import JournalRecord, RecordStatus
from cardbeam.model.request import ImageRef, Labels, Request
from cardbeam.run_state.layout import INDEX, LEDGER
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import LocalFolder
from cardbeam.tables.files.table_file import TableRows, write_parquet
from cardbeam.tables.parts.read_part import ledger_table
from tests.records import answered, copy, failed_record, hex_id

HERE = "run-9"
LABELS: tuple[Labels, ...] = ((), (("a", "1"), ("b", "2")), (("a", "1"),))
SIZES = (1000, 1000, 2000, 2000, 3000)
"""Of each item: some share theirs."""


@dataclass(frozen=True)
class Seen:
    """An image at a place, in a version, as a run meets it; and what would come of a call for it."""

    place: int
    version: int
    labels: Labels
    outcome: str
    code: str

    @property
    def item(self) -> int:
        """A source is one version of an image, so it has one item; an item has several sources, its duplicates."""
        return (3 * self.place + self.version) % len(SIZES)

    @property
    def request(self) -> Request:
        image = ImageRef(f"in/{self.place}.jpg", SIZES[self.item], f"v{self.version}")
        return Request("ekyc/card", (image,), self.labels)


SEEN = st.builds(
    Seen,
    st.integers(0, 4),
    st.integers(0, 1),
    st.sampled_from(LABELS),
    st.sampled_from(["succeeded", "succeeded", "failed", "retriable", "unreadable"]),
    st.sampled_from(["error_1", "error_3"]),
)
HISTORY = st.lists(st.tuples(st.integers(0, 5).map("run-{}".format), SEEN), max_size=14)
ALL = [Seen(place, version, labels, "", "").request for place in range(6) for version in (0, 1) for labels in LABELS]


def result_of(one: Seen) -> JournalRecord:
    """What comes of a call for an image, or of reading it."""
    size_bytes = SIZES[one.item]
    if one.outcome == "succeeded":
        return answered(one.item, image_bytes=size_bytes)
    if one.outcome == "failed":
        return failed_record(one.item, code=one.code, image_bytes=size_bytes)
    if one.outcome == "retriable":
        return failed_record(one.item, code="http_500", retriable=True, image_bytes=size_bytes)
    unread = {"item_id": one.request.source_id, "code": "unreadable_source", "image_bytes": None}
    return failed_record(0, retriable=True, **unread)


def records_of(seen: list[Seen], final: dict[int, JournalRecord]) -> Iterator[JournalRecord]:
    """What a run records: an image whose content has a final result is a duplicate, with the code of a failure."""
    for one in seen:
        about = {"source_id": one.request.source_id, "uris": one.request.uris, "labels": one.labels}
        if (before := final.get(one.item)) is not None:
            yield copy(one.item, **about, code=before.code)
            continue
        record = structs.replace(result_of(one), **about)
        if not record.retriable:
            final[one.item] = record
        yield record


def keep(folder: LocalFolder, run_id: str, records: list[JournalRecord]) -> None:
    """Leave a run's ledger."""
    write_parquet(folder, TableRows(LEDGER, run_id, "part-1", ledger_table(records)))


def build(folder: LocalFolder, history: list[tuple[str, Seen]], most_updated: str = "~", chunk_rows: int = 3) -> None:
    """Runs one after the other, each added to the index but for the last ones."""
    final: dict[int, JournalRecord] = {}
    for run_id, of_run in groupby(sorted(history, key=itemgetter(0)), itemgetter(0)):
        records = records_of([one for _, one in of_run], final)
        keep(folder, run_id, [structs.replace(record, completed_at=completed_at(run_id)) for record in records])
        if run_id <= most_updated:
            update_index(folder, min_files=0, chunk_rows=chunk_rows)


def completed_at(run_id: str) -> int:
    """When all records of a run were made."""
    return 10 * int(run_id[-1])


def in_memory(folder: LocalFolder, *, is_replay: bool = False, since_us: int = 0) -> ProcessedIndex:
    """What one index of all records knows."""
    records = [*ledger_keys(folder, since_us), *journal_keys(folder, since_us)]
    return ProcessedIndex(records, HERE, is_replay=is_replay)


def unsure(history: list[tuple[str, Seen]]) -> set[int]:
    """Places where a version failed for now. Once a duplicate of it has a result elsewhere, it counts as the newest
    there in memory, and does not on disk: either way nothing is paid."""
    return {one.place for _, one in history if one.outcome == "retriable"}


class Told(NamedTuple):
    """All that an index tells of a request."""

    source: object
    newest: object
    has_input: bool
    item: PriorStatus
    failures: int | None
    failure: Failure | None


def answers_of(index: ProcessedIndex | RequestHistory, request: Request, item: int) -> Told:
    """All that an index tells of a request."""
    source_id = request.source_id
    prior, item_id = index.of_source(source_id)
    has_input = index.has_input(source_id, request.input_id(item_id))
    newest = (is_known(request, index), index.is_superseded(source_id))
    status = index.of_item(hex_id(item), SIZES[item])
    failures = index.failures_of(hex_id(item), source_id) if prior is status is PriorStatus.UNKNOWN else None
    return Told((prior, item_id), newest, has_input, status, failures, index.failure_of(hex_id(item)))


@settings(max_examples=25)
@given(HISTORY, st.sampled_from(["", "run-1", "run-3", "~"]), st.booleans(), st.integers(1, 4))
def test_the_index_on_disk_is_an_index_of_all_records(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[tuple[str, Seen]],
    most_updated: str,
    is_replay: bool,
    chunk_rows: int,
) -> None:
    """Of each request the same is known, however many runs the index on disk holds, and however it was merged; but for
    which version is the newest where one failed."""
    folder = LocalFolder(str(tmp_path_factory.mktemp("output")))
    build(folder, history, most_updated, chunk_rows)
    index, naive = load_index(folder, HERE, is_replay=is_replay), in_memory(folder, is_replay=is_replay)
    for request in looked_up(ALL, index):
        seen = Seen(int(request.uris[0][3]), int((request.images[0].version or "")[1]), (), "", "")
        found, expected = (answers_of(one, request, seen.item) for one in (history_of(index, request), naive))
        if seen.place in unsure(history):
            found, expected = found._replace(newest=()), expected._replace(newest=())
        assert found == expected


@settings(max_examples=25)
@given(HISTORY, st.sampled_from(["", "run-1", "run-3", "~"]), st.sampled_from([1, 20, 30, 31, 60]))
def test_what_was_completed_before_a_time_is_new(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, Seen]], most_updated: str, since_us: int
) -> None:
    """By content the same is known as of all records since. By source too, but for duplicates: these are opened."""
    folder = LocalFolder(str(tmp_path_factory.mktemp("output")))
    build(folder, history, most_updated)
    index, naive = load_index(folder, HERE, since_us=since_us), in_memory(folder, since_us=since_us)
    for request in looked_up(ALL, index):
        seen = Seen(int(request.uris[0][3]), int((request.images[0].version or "")[1]), (), "", "")
        history_of_one = history_of(index, request)
        found, expected = (one.of_source(request.source_id) for one in (history_of_one, naive))
        same = [one for run_id, one in history if completed_at(run_id) >= since_us and one.request.uris == request.uris]
        assert found == expected or (found[0] is PriorStatus.UNKNOWN and len(same) > 0)
        of_item = [one.of_item(hex_id(seen.item), SIZES[seen.item]) for one in (history_of_one, naive)]
        assert of_item[0] == of_item[1]


@settings(max_examples=25)
@given(HISTORY, st.integers(1, 9), st.sampled_from([0.0, 1e9]), st.booleans(), st.randoms())
def test_what_is_left_of_a_listing(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[tuple[str, Seen]],
    window: int,
    spread: float,
    is_replay: bool,
    random: object,
) -> None:
    """A join in windows of any size and any order, sorted on disk or not, leaves what an index of all records does."""
    folder = LocalFolder(str(tmp_path_factory.mktemp("output")))
    build(folder, history)
    requests = [one for one in ALL if int(one.uris[0][3]) not in unsure(history)]
    random.shuffle(requests)  # type: ignore[attr-defined]
    join = SourceJoin(load_index(folder, HERE, is_replay=is_replay), window=window, spread=spread)
    left = [found for request in requests for found in join.add(request)]
    left += join.rest()
    naive = in_memory(folder, is_replay=is_replay)
    expected = {request for request in requests if not is_known(request, naive)}
    assert {replace(one, earlier=()) for one in left} == expected
    assert (join.known, len(left)) == (len(requests) - len(expected), len(expected))


def test_what_this_run_processes_is_known_beside_it(tmp_path: Path) -> None:
    """A renamed image is a duplicate of an earlier run's; recorded so, its source is known to whoever reads the run."""
    folder = LocalFolder(str(tmp_path))
    here = Seen(0, 0, (), "succeeded", "")
    keep(folder, "run-1", list(records_of([here], {})))
    update_index(folder, min_files=0)
    renamed = replace(here.request, images=(replace(here.request.images[0], uri="in/renamed.jpg"),))
    LocalJournal(folder, HERE).append(copy(here.item, source_id=renamed.source_id, uris=renamed.uris))
    index = load_index(folder, HERE)
    earlier = (PriorStatus.SUCCEEDED_EARLIER_RUN, hex_id(here.item))
    assert history_of(index, renamed).of_source(renamed.source_id) == earlier
    index.record(copy(here.item, source_id=hex_id(77)))
    assert history_of(index, renamed).of_source(hex_id(77)) == earlier


@pytest.mark.parametrize("item", ["content", "source", "unknown"])
def test_an_image_is_found_by_its_content_or_by_its_source(item: str, tmp_path: Path) -> None:
    """An id of the content is asked for with the size; one of the source, or of URIs alone, without."""
    folder = LocalFolder(str(tmp_path))
    source_id = None if item == "unknown" else hex_id(5)
    item_id = hex_id(5) if item != "content" else hex_id(6)
    keep(folder, "run-1", [answered(0, item_id=item_id, source_id=source_id, image_bytes=1000)])
    update_index(folder, min_files=0)
    history = history_of(load_index(folder, HERE), ALL[0])
    found = [history.of_item(item_id, size_bytes) for size_bytes in (1000, None)]
    known = PriorStatus.SUCCEEDED_EARLIER_RUN
    assert found[0 if item == "content" else 1] is known


@pytest.mark.parametrize("is_on_disk", [False, True])
def test_an_erased_image_is_processed(is_on_disk: bool, tmp_path: Path) -> None:
    """Its URIs and its size are gone, and it is never sent again, whether the index on disk tells it or the ledger."""
    folder = LocalFolder(str(tmp_path))
    erased = answered(1, source=11, outcome="erased", code="erased", uris=(), image_bytes=None)
    keep(folder, "run-1", [erased, answered(2)])
    if is_on_disk:
        update_index(folder, min_files=0)
    index = load_index(folder, HERE)
    history = history_of(index, ALL[0])
    earlier = PriorStatus.SUCCEEDED_EARLIER_RUN
    found = [history.of_item(hex_id(1), 1000), history.of_source(hex_id(11)), history.is_erased(hex_id(1))]
    assert found == [earlier, (earlier, hex_id(1)), True]
    assert not history.is_erased(hex_id(2))


def test_requests_are_sorted_on_disk() -> None:
    """In runs of any size, with their labels and records."""
    requests = [replace(Seen(n * 7 % 50, 0, LABELS[n % 3], "", "").request) for n in range(50)]
    with Spilled(run_bytes=500) as spilled:
        for request in requests:
            spilled.add([request])
        assert list(spilled.in_order()) == sorted(requests, key=lambda one: one.uris)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """Bytes that are others than were written: the error names the file, and says what to do."""
    folder = LocalFolder(str(tmp_path))
    build(folder, [("run-1", Seen(0, 0, (), "succeeded", ""))])
    index = load_index(folder, HERE)
    for file in list(folder.list(f"{INDEX}/by_source")):
        content = bytearray(folder.read(file.path))
        content[20:60] = bytes(40)
        folder.write(file.path, bytes(content))
        with pytest.raises(DamagedFile, match=f"{file.path} is damaged. Delete index/") as raised:
            looked_up(ALL, index)
        assert raised.value.path == file.path


def test_no_index_where_there_is_little(tmp_path: Path) -> None:
    """A small output has none; what an index has once taken up stays in it."""
    folder = LocalFolder(str(tmp_path))
    keep(folder, "run-1", [answered(1, outcome=RecordStatus.SUCCEEDED.value)])
    update_index(folder)
    assert list(folder.list(INDEX)) == []
