"""What is settled already, by item and by source, against a naive model of all records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.records import answered, copy, dead, hex_id
from transforms.answered import Answered, Standing, load_answered
from transforms.elements import Settled
from transforms.journal import LocalJournal
from transforms.layout import LEDGER
from transforms.read_part import ledger_table
from transforms.storage import LocalFolder, StoredFile
from transforms.table_file import TableRows, write_parquet

HERE, BEFORE = "run-2", "run-1"
ITEMS, SOURCES = range(5), range(8)


def item_of(source: int) -> int:
    """A source is one version of a picture, so it has one item; an item has several sources, its copies."""
    return source % len(ITEMS)


def _record(kind: str, source: int | None, item: int, retriable: bool) -> Settled:
    item = item if source is None else item_of(source)
    make = {"answered": answered, "dead": dead, "copy": copy}[kind]
    return make(item, source=source, **({"retriable": retriable} if kind == "dead" else {}))


RECORDS = st.builds(
    _record,
    st.sampled_from(["answered", "dead", "dead", "copy"]),
    st.none() | st.sampled_from(SOURCES),
    st.sampled_from(ITEMS),
    st.booleans(),
)
KEYS = pa.schema(
    [
        *((name, pa.string()) for name in ("item_id", "source_id", "outcome")),
        *((name, pa.bool_()) for name in ("retriable", "is_here")),
    ]
)
BY_RUN = st.lists(st.tuples(RECORDS, st.booleans()), max_size=12)


@dataclass
class Model:
    """Two dicts, said as the design says it."""

    is_replay: bool = False
    items: dict[str, Standing] = field(default_factory=dict)
    sources: set[str] = field(default_factory=set)

    def of(self, records: Iterable[tuple[Settled, bool]]) -> Model:
        for one, is_here in records:
            if one.source_id:
                self.sources.add(one.source_id)
            if one.outcome == "answered":
                standing = Standing.ANSWERED_HERE if is_here else Standing.ANSWERED_BEFORE
            elif one.outcome == "dead" and not one.retriable and (is_here or not self.is_replay):
                standing = Standing.DEAD_HERE if is_here else Standing.DEAD_BEFORE
            else:
                continue
            self.items[one.item_id] = min(standing, self.items.get(one.item_id, Standing.NEW))
        return self

    def of_item(self, item: int) -> Standing:
        return self.items.get(hex_id(item), Standing.NEW)

    def of_source(self, source: int) -> tuple[Standing, str]:
        standing = self.of_item(item_of(source)) if hex_id(source) in self.sources else Standing.NEW
        return standing, "" if standing is Standing.NEW else hex_id(item_of(source))


def key_table(records: Iterable[tuple[Settled, bool]]) -> pa.Table:
    """The key columns of records, each with whether this run wrote it."""
    rows = [{**{name: getattr(one, name) for name in KEYS.names[:-1]}, "is_here": is_here} for one, is_here in records]
    return pa.Table.from_pylist(rows, KEYS)


def known(answered_: Answered | Model) -> tuple[list[Standing], list[tuple[Standing, str]]]:
    if isinstance(answered_, Model):
        return [answered_.of_item(item) for item in ITEMS], [answered_.of_source(source) for source in SOURCES]
    by_source = [answered_.of_source(hex_id(source)) for source in SOURCES]
    return (
        [answered_.of_item(hex_id(item)) for item in ITEMS],
        [(standing, "" if standing is Standing.NEW else item_id) for standing, item_id in by_source],
    )


@given(BY_RUN, st.booleans())
def test_the_index_knows_what_the_records_say(records: list[tuple[Settled, bool]], is_replay: bool) -> None:
    """For any records of this run and earlier ones, each item and source stands as the model says."""
    assert known(Answered([key_table(records)], is_replay=is_replay)) == known(Model(is_replay).of(records))


@given(BY_RUN, st.lists(RECORDS, max_size=8), st.integers(1, 9))
def test_what_is_noted_is_known(records: list[tuple[Settled, bool]], noted: list[Settled], most_noted: int) -> None:
    """What a process notes is known at once, as if it had been there from the start, also when its notes are merged.

    But for a source that was only ever a copy of something unsettled: it may have to be opened again.
    """
    index = Answered([key_table(records)], most_noted=most_noted)
    for record in noted:
        index.note(record)
    everything = [*records, *((record, True) for record in noted)]
    items, sources = known(index)
    of_items, of_sources = known(Model().of(everything))
    settled_itself = {one.source_id for one, _ in everything if one.outcome != "copy" and not one.retriable}
    assert items == of_items
    for source, known_as in enumerate(sources):
        unsure = [] if hex_id(source) in settled_itself else [(Standing.NEW, "")]
        assert known_as in [of_sources[source], *unsure]


@settings(max_examples=40)
@given(st.data(), st.lists(RECORDS, max_size=6), st.lists(RECORDS, max_size=6))
def test_ledger_and_journal_are_read_together(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, before: list[Settled], here: list[Settled]
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
    expected = Model().of([*((record, False) for record in before), *((record, True) for record in here)])
    assert known(load_answered(folder, HERE)) == known(expected)


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
    index = load_answered(folder, HERE)
    here = Standing.ANSWERED_HERE
    assert [index.of_item(hex_id(item)) for item in (1, 2, 3)] == [here, here, Standing.NEW]


def test_an_answer_replaces_an_earlier_death() -> None:
    """A picture that died unread under its source and was answered later is known as answered."""
    died = dead(7, source=7, code="unreadable_image", stage="read")
    index = Answered([key_table([(died, False), (answered(1, source=7), False)])])
    assert index.of_source(hex_id(7)) == (Standing.ANSWERED_BEFORE, hex_id(1))


def test_nothing_is_known_of_an_unknown_version() -> None:
    """A request without a source id is new until it is opened."""
    assert Answered([key_table([(answered(1), True)])]).of_source(None) == (Standing.NEW, "")


def test_an_empty_output_knows_nothing(tmp_path: Path) -> None:
    """Where no run has been, everything is new."""
    assert known(load_answered(LocalFolder(str(tmp_path)), HERE)) == known(Model())
