"""From journal and ledger to tables and back, over sessions, crashes and repeats, against a naive model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from cardbeam.model.part import Part, Span
from cardbeam.model.record import JournalRecord
from cardbeam.run_state.layout import DEAD_LETTERS, JOURNAL, LEDGER, of_run, parquet_file
from cardbeam.storage.folder import LocalFolder
from cardbeam.tables.files.table_file import TableRows, write_parquet
from cardbeam.tables.parts.part_plan import plan_parts
from tests.parts import read_part
from tests.records import answered, copy, ends, failed_record, hex_id, segment, write_segment

RUN = "run-1"
PASSPORTS = "documents/type=passport"
Rows = dict[str, list[dict[str, object]]]


def answer(item: int, completed_at: int) -> JournalRecord:
    """An answer that says which one it is, so that a table shows which was taken."""
    response = {"errorCode": "0", "data": [{"type": "passport", "info": {"id": f"{item}-{completed_at}"}}]}
    return answered(item, completed_at=completed_at, response=json.dumps(response).encode())


def _record(kind: str, item: int, completed_at: int, source: int | None) -> JournalRecord:
    if kind == "succeeded":
        return structs.replace(answer(item, completed_at), source_id=None if source is None else hex_id(source))
    if kind == "failed":
        return failed_record(item, completed_at=completed_at, source=source, code=f"error_{completed_at}")
    return copy(item, completed_at=completed_at, source=source, uris=(f"copies/{source}.jpg",))


KIND = st.sampled_from(["succeeded", "failed", "duplicate"])
RECORDS = st.builds(_record, KIND, st.integers(0, 3), st.integers(0, 40), st.none() | st.integers(0, 3))
SEGMENTS = st.lists(st.tuples(st.lists(RECORDS, max_size=6), st.integers(0, 40)), max_size=3)
"""Records of segments, and bytes of another record that their writer was killed in."""


@dataclass(frozen=True)
class Session:
    """What a session of the run wrote, each segment with its torn tail, and how it ended after publishing."""

    segments: list[tuple[list[JournalRecord], int]]
    part_records: int
    clears_journal: bool
    ledger_files_lost: list[bool]


SESSIONS = st.lists(
    st.builds(Session, SEGMENTS, st.integers(1, 5), st.booleans(), st.lists(st.booleans(), min_size=6, max_size=6)),
    min_size=1,
    max_size=3,
)


def publish(folder: LocalFolder, **bounds: int) -> Rows:
    """Plan and read every part, write its ledger file; the rows of each file that there would be."""
    files = {}
    for part in plan_parts(folder, RUN, **bounds):
        tables, _ = read_part(folder, part)
        for table, rows in tables.items():
            files[parquet_file(table, RUN, part.name)] = rows.to_pylist()
        if LEDGER in tables:
            write_parquet(folder, TableRows(LEDGER, RUN, part.name, tables[LEDGER]))
    return files


def write_segments(
    folder: LocalFolder,
    name: str,
    segments: list[tuple[list[JournalRecord], int]],
    records: dict[tuple[str, int], JournalRecord],
) -> None:
    """Write a session's journal. No two records of an item are of the same microsecond, but one may stand twice."""
    for place, (written, torn_bytes) in enumerate(segments):
        taken = [records.setdefault((one.item_id, one.completed_at), one) for one in written]
        path = f"{of_run(JOURNAL, RUN)}/{name}{place}.journal"
        whole_bytes = len(segment(path, taken))
        folder.write(path, segment(path, [*taken, answered(99)])[: whole_bytes + torn_bytes])


def rows_of(files: Rows, table: str) -> list[dict[str, object]]:
    return [row for path, rows in files.items() if path.startswith(table) for row in rows]


def ledger_rows(folder: LocalFolder) -> list[tuple[object, ...]]:
    names = ["item_id", "source_id", "outcome", "completed_at"]
    tables = [pq.read_table(f"{folder.root}/{file.path}", columns=names) for file in folder.list(of_run(LEDGER, RUN))]
    moments = [row | {"completed_at": row["completed_at"].microsecond} for table in tables for row in table.to_pylist()]
    return sorted((tuple(row.values()) for row in moments), key=repr)


def model_rows(records: list[JournalRecord]) -> tuple[dict[str, tuple[str, list[str]]], dict[str, str]]:
    """What the tables must show: {item: (which answer, its URIs)} and {item: code of its failure}."""
    shown: dict[str, tuple[str, list[str]]] = {}
    failures: dict[str, str] = {}
    failed = {one.item_id for one in records if one.outcome == "failed"}  # whose duplicates process nothing
    is_other = {one: one.outcome == "succeeded" or one.item_id not in failed for one in records}
    processed = {one.source_id for one in records if is_other[one] and one.source_id is not None}
    for item_id in {one.item_id for one in records}:
        mine = [one for one in records if one.item_id == item_id]
        answers = sorted((one for one in mine if one.outcome == "succeeded"), key=lambda one: one.completed_at)
        failed_records = sorted((one for one in mine if one.outcome == "failed"), key=lambda one: one.completed_at)
        duplicates = {one.uris for one in mine if one.outcome == "duplicate"}
        if answers:
            number = json.loads(answers[0].response or b"")["data"][0]["info"]["id"]
            shown[item_id] = (number, [*answers[0].uris, *sorted(uri for uris in duplicates for uri in uris)])
        elif failed_records and failed_records[-1].source_id not in processed:
            failures[item_id] = str(failed_records[-1].code)
    return shown, failures


def check(files: Rows, folder: LocalFolder, records: list[JournalRecord]) -> None:
    shown, failures = model_rows(records)
    documents, letters = rows_of(files, PASSPORTS), rows_of(files, DEAD_LETTERS)
    got = {row["item_id"]: (row["id"], [row["uris"][0], *sorted(row["uris"][1:])]) for row in documents}
    assert got == shown
    assert len(documents) == len(shown)
    assert {row["item_id"]: row["code"] for row in letters} == failures
    assert len(letters) == len(failures)
    keys = [(one.item_id, one.source_id, one.outcome, one.completed_at) for one in records]
    assert ledger_rows(folder) == sorted(keys, key=repr)


@settings(max_examples=25)
@given(SESSIONS)
def test_tables_show_each_request_once(tmp_path_factory: pytest.TempPathFactory, sessions: list[Session]) -> None:
    """Through any sessions, torn tails, journals that outlive their ledger and ledger files lost in a crash:

    each request is shown once, as its first answer, else its last failure; the ledger holds each record once.
    """
    folder = LocalFolder(str(tmp_path_factory.mktemp("output")))
    records: dict[tuple[str, int], JournalRecord] = {}
    for number, session in enumerate(sessions):
        write_segments(folder, f"{number}-", session.segments, records)
        files = publish(folder, part_records=session.part_records)
        check(files, folder, list(records.values()))
        if session.clears_journal:
            folder.delete([file.path for file in folder.list(JOURNAL)])
        else:
            ledger = [path for path in files if path.startswith(LEDGER)]
            folder.delete(
                [path for path, is_missing in zip(ledger, session.ledger_files_lost, strict=False) if is_missing]
            )
    check(publish(folder), folder, list(records.values()))


@settings(max_examples=20)
@given(SEGMENTS, st.integers(1, 5), st.booleans())
def test_the_same_answers_make_the_same_files(
    tmp_path_factory: pytest.TempPathFactory, segments: list[tuple[list[JournalRecord], int]], count: int, is_kept: bool
) -> None:
    """Published again, from the ledger with or without the journal, every file has its name and its rows."""
    folder = LocalFolder(str(tmp_path_factory.mktemp("output")))
    write_segments(folder, "", segments, {})
    first = publish(folder, part_records=count)
    if not is_kept:
        folder.delete([file.path for file in folder.list(JOURNAL)])
    again = publish(folder, part_records=count)
    assert again == {path: rows for path, rows in first.items() if not path.startswith(LEDGER)}


def test_an_image_read_at_last(tmp_path: Path) -> None:
    """An image that could not be read at first, and was answered when the run went on, is no dead letter."""
    folder = LocalFolder(str(tmp_path))
    unread = failed_record(1, completed_at=1, source=7, code="unreadable_source")
    answered_later = structs.replace(answer(2, 2), source_id=hex_id(7))
    write_segment(folder, f"{of_run(JOURNAL, RUN)}/1.journal", [unread, answered_later])
    files = publish(folder)
    assert (len(rows_of(files, PASSPORTS)), rows_of(files, DEAD_LETTERS)) == (1, [])


def test_a_journal_is_cut_within_the_bounds(tmp_path: Path) -> None:
    """Parts end at the record that reaches a bound, and every byte lies in one span, the torn ones included."""
    folder = LocalFolder(str(tmp_path))
    records = [answer(item, 1) for item in range(5)]
    one, two = "journal/run_id=run-1/1.journal", "journal/run_id=run-1/2.journal"
    folder.write(one, segment(one, records[:4])[:-1])
    write_segment(folder, two, records[3:])
    (_, _, second, _, torn), (_, fourth, fifth) = ends(one, records[:4]), ends(two, records[3:])
    spans = [
        (Span(one, 0, second),),
        (Span(one, second, torn - 1), Span(two, 0, fourth)),
        (Span(two, fourth, fifth),),
    ]
    assert [part.spans for part in plan_parts(folder, RUN, part_records=2)] == spans
    assert [part.spans for part in plan_parts(folder, RUN, part_bytes=second)] == spans
    assert len(plan_parts(folder, RUN)) == 1


def test_bytes_of_a_part_are_those_of_its_spans(tmp_path: Path) -> None:
    """A part that begins within a segment and goes on in others ends where its own bytes reach the bound."""
    folder = LocalFolder(str(tmp_path))
    paths = [f"journal/run_id=run-1/{number}.journal" for number in range(3)]
    large = structs.replace(answer(0, 1), response=b"[%s]" % (b" " * 1000))
    segments = [[large, answer(1, 1)], [answer(2, 1)], [answer(3, 1), answer(4, 1)]]
    for path, written in zip(paths, segments, strict=True):
        write_segment(folder, path, written)
    (_, after_large, first), (_, second), (_, _, fourth) = map(ends, paths, segments)
    within = [Span(paths[0], after_large, first), Span(paths[1], 0, second), Span(paths[2], 0, fourth)]
    parts = plan_parts(folder, RUN, part_bytes=after_large)
    assert [part.spans for part in parts] == [(Span(paths[0], 0, after_large),), tuple(within)]


def test_keys_are_counted_once(tmp_path: Path) -> None:
    """One record more than is counted at once gives as many keys, none of them a repeated one."""
    folder = LocalFolder(str(tmp_path))
    records = [failed_record(item, completed_at=item) for item in range(1025)]
    write_segment(folder, f"{of_run(JOURNAL, RUN)}/1.journal", records)
    (part,) = plan_parts(folder, RUN)
    assert (part.records, part.repeated, part.superseded) == (1025, frozenset(), frozenset())


def test_a_part_says_what_is_repeated_and_replaced(tmp_path: Path) -> None:
    """Rows are counted over all records of the part; duplicates go to the part that shows their original."""
    folder = LocalFolder(str(tmp_path))
    twin = copy(1, completed_at=3, uris=("copies/1.jpg",))
    records = [
        failed_record(1, completed_at=1),
        answer(1, 2),
        answer(1, 2),
        twin,
        copy(9, completed_at=4),
        failed_record(2, completed_at=5),
    ]
    write_segment(folder, f"{of_run(JOURNAL, RUN)}/1.journal", records)
    (part,) = plan_parts(folder, RUN)
    assert part == Part(
        RUN,
        part.name,
        part.spans,
        repeated=frozenset({2}),
        superseded=frozenset({0, 2}),
        duplicates=((hex_id(1), ("copies/1.jpg",)),),
        records=6,
    )


def test_a_run_without_records_has_no_part(tmp_path: Path) -> None:
    """Where nothing was written there is nothing to read; another run's records are not ours."""
    folder = LocalFolder(str(tmp_path))
    write_segment(folder, f"{of_run(JOURNAL, 'run-2')}/1.journal", [answer(1, 1)])
    assert plan_parts(folder, RUN) == []
