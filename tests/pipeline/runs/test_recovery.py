"""A launch closes every run that did not end, whatever began it and wherever it was killed, and all of it adds up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec import structs

from cardbeam.config.settings import EndpointSettings, InputSettings, OutputSettings, RateSettings, Settings
from cardbeam.model.record import JournalRecord
from cardbeam.model.request import ImageRef, Request
from cardbeam.run_state.closing import begin_closing
from cardbeam.run_state.layout import COUNTS_FILE, JOURNAL, LEDGER, of_run, run_file
from cardbeam.run_state.receipt import INTERRUPTED, Receipt, read_receipt, write_receipt
from cardbeam.run_state.replaced_files import delete_replaced
from cardbeam.run_state.stop_signal import BUDGET, StopSignal
from cardbeam.storage.folder import LocalFolder
from cardbeam.tables.publisher import Publisher
from cardbeam.watch.pending import PENDING_FILE, PendingRequest
from cardbeam.watch.pending import encode as encode_open
from cardbeam.watch.publishing.close_run import closed_counts
from pipeline.commands.replay import interrupted_replays
from pipeline.runs.recovery import NotClosed, close_unfinished_runs, unfinished_runs
from pipeline.runs.registry import Run, begin
from tests.records import answered, copy, failed_record, write_segment

PASSPORT = "documents/type=passport"
BEGAN = "2026-11-22T01:00:00+00:00"
AT_US = 1_800_000_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(str(tmp_path))


def run_of(run_id: str, command: str = "backfill") -> Run:
    return Run(run_id, command, BEGAN, {"input": ["in/*.jpg"]}, allowed_per_s=5.0, price_per_call=0.5)


def write_journal(folder: LocalFolder, run_id: str, records: Sequence[JournalRecord], writer: str = "a") -> None:
    write_segment(folder, f"{of_run(JOURNAL, run_id)}/{writer}-000000.journal", records)


def kill(
    folder: LocalFolder, run_id: str, records: Sequence[JournalRecord], found: int | None = None, before: int = 0
) -> None:
    """A run as a kill leaves it: begun, some inputs counted perhaps, some records durable."""
    begin(folder, run_of(run_id))
    if found is not None:
        folder.write(run_file(run_id, COUNTS_FILE), orjson.dumps({"found": found, "skipped": before}))
    if records:
        write_journal(folder, run_id, records)


def ids_of(folder: LocalFolder, table: str = PASSPORT) -> list[str]:
    """Items in all files of a table, named by a receipt or not, once what was replaced is deleted."""
    delete_replaced(folder)
    files = [Path(folder.root, file.path) for file in folder.list(table) if file.path.endswith(".parquet")]
    return sorted(id for file in files for id in pq.read_table(file, columns=["item_id"])["item_id"].to_pylist())


def outcomes(receipt: Receipt) -> tuple[int, ...]:
    names = ("found", "skipped", "duplicates", "succeeded", "dead_lettered", "deferred")
    return tuple(receipt.requests[name] for name in names)


def test_a_killed_run_is_published_and_what_it_did_not_do_is_deferred(folder: LocalFolder) -> None:
    """Its answers are rows, its receipt says that it was interrupted, with its own settings and times, and adds up."""
    records = [
        answered(1, source=1, attempts=2, completed_at=AT_US),
        failed_record(2, source=2),
        copy(1, source=3),
        copy(9, source=4),
    ]
    kill(folder, "r1", records, found=20, before=5)
    (receipt,) = close_unfinished_runs(folder)
    assert receipt == read_receipt(folder, "r1")
    assert (receipt.status, receipt.reconciled, receipt.discrepancies) == (INTERRUPTED, True, [])
    assert outcomes(receipt) == (20, 6, 1, 1, 1, 11)  # the copy of 9 is of an earlier run's answer
    assert receipt.calls == {"sent": 3, "retried": 1, "answered": 1}
    assert (receipt.cost, receipt.settings) == (0.5, {"input": ["in/*.jpg"]})
    assert (receipt.started_at, receipt.finished_at) == ("2026-11-22T01:00:00Z", "2027-01-15T08:00:00Z")
    assert ids_of(folder) == [records[0].item_id]
    assert ids_of(folder, LEDGER) == sorted(one.item_id for one in records)
    assert list(folder.list(JOURNAL)) == []


def test_a_run_that_is_closed_is_not_closed_again(folder: LocalFolder) -> None:
    """The next launch has nothing to do, and changes no file."""
    kill(folder, "r1", [answered(1)], found=3)
    close_unfinished_runs(folder)
    before = {file.path: Path(folder.root, file.path).stat().st_mtime_ns for file in folder.list("")}
    assert close_unfinished_runs(folder) == []
    assert {file.path: Path(folder.root, file.path).stat().st_mtime_ns for file in folder.list("")} == before


def test_all_runs_that_did_not_end_are_closed(folder: LocalFolder) -> None:
    """Of any command; killed before the inputs were counted, or before any record; known by their records alone."""
    kill(folder, "r1", [answered(1)], found=2)
    kill(folder, "r2", [], found=7, before=7)
    begin(folder, run_of("r3", "replay"))
    write_journal(folder, "r4", [answered(4), failed_record(5)])
    found = {receipt.run_id: outcomes(receipt) for receipt in close_unfinished_runs(folder)}
    assert found == {
        "r1": (2, 0, 0, 1, 0, 1),
        "r2": (7, 7, 0, 0, 0, 0),
        "r3": (0, 0, 0, 0, 0, 0),
        "r4": (2, 0, 0, 1, 1, 0),
    }
    assert list(unfinished_runs(folder)) == []


def request(name: str) -> Request:
    return Request("ekyc/card", (ImageRef(f"in/{name}.jpg", 7, "1"),))


def test_a_killed_watch_accounts_for_what_it_gave_out(folder: LocalFolder) -> None:
    """What it published is in the tables once; what was dispatched and has no record is deferred, listed or not."""
    run = run_of("w1", "watch")
    begin(folder, run)
    write_journal(folder, "w1", [answered(1, uris=("in/1.jpg",)), failed_record(2, uris=("in/2.jpg",))])
    publisher = Publisher(folder, settings_of(folder, "w1"), run.began)
    publisher.publish_new()
    publisher.write_receipt(3, run.began)
    write_journal(folder, "w1", [answered(3, uris=("in/3.jpg",))], writer="b")
    given = [PendingRequest(number, request(str(number))) for number in (2, 3, 4, 5)]
    folder.write(run_file("w1", PENDING_FILE), encode_open(given))
    (receipt,) = close_unfinished_runs(folder)
    assert (receipt.status, receipt.reconciled, outcomes(receipt)) == (INTERRUPTED, True, (5, 0, 0, 2, 1, 2))
    assert ids_of(folder) == sorted([answered(1).item_id, answered(3).item_id])
    assert {file["path"] for file in receipt.files} == {
        file.path for file in folder.list("") if file.path.endswith(".parquet")
    }


def settings_of(folder: LocalFolder, run_id: str) -> Settings:
    return Settings(InputSettings(("in",)), EndpointSettings(), RateSettings(), OutputSettings(folder.root, run_id))


def test_the_reason_of_a_run_that_was_stopping_is_kept(folder: LocalFolder) -> None:
    """A kill while it ended makes it interrupted, and the receipt says what had stopped it."""
    kill(folder, "r1", [answered(1)], found=3)
    StopSignal(folder, "r1").set(BUDGET)
    (receipt,) = close_unfinished_runs(folder)
    assert (receipt.status, receipt.stopped_by, receipt.message) == (INTERRUPTED, "max_calls", BUDGET.message)


@pytest.mark.parametrize("status", ["complete", INTERRUPTED])
def test_a_record_that_comes_after_the_end_is_published(folder: LocalFolder, status: str) -> None:
    """A frozen worker writes down what it had paid for when it wakes up: the next launch publishes it."""
    kill(folder, "r1", [answered(1, completed_at=1)], found=3)
    close_unfinished_runs(folder)
    before = orjson.loads(folder.read(run_file("r1", "receipt.json")))
    folder.write(run_file("r1", "receipt.json"), orjson.dumps({**before, "status": status}))
    write_journal(folder, "r1", [answered(2, completed_at=2), answered(1, completed_at=3)], writer="late")
    (receipt,) = close_unfinished_runs(folder)
    assert (receipt.status, receipt.reconciled, outcomes(receipt)) == (status, True, (3, 0, 0, 2, 0, 1))
    assert receipt.calls["sent"] == 3
    assert ids_of(folder) == sorted([answered(1).item_id, answered(2).item_id])
    assert (list(folder.list(JOURNAL)), close_unfinished_runs(folder)) == ([], [])


@pytest.mark.parametrize("is_reconciled", [True, False])
def test_records_that_the_ledger_holds_are_not_late(folder: LocalFolder, is_reconciled: bool) -> None:
    """A kill left them behind the receipt, or the run does not add up, which keeps them: it is not published again."""
    kill(folder, "r1", [answered(1)], found=3)
    segment = folder.read(f"{of_run(JOURNAL, 'r1')}/a-000000.journal")
    close_unfinished_runs(folder)
    folder.write(f"{of_run(JOURNAL, 'r1')}/a-000000.journal", segment)
    receipt = read_receipt(folder, "r1")
    assert receipt is not None
    write_receipt(folder, replace(receipt, reconciled=is_reconciled))
    assert (list(unfinished_runs(folder)), close_unfinished_runs(folder)) == ([], [])
    assert len(list(folder.list(JOURNAL))) == (0 if is_reconciled else 1)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"run_id": "r1"', b'{"loss": 1}', b"[]", b'{"run_id": "r1", "command": ""}']
)
def test_a_run_that_cannot_be_closed_is_named(folder: LocalFolder, content: bytes) -> None:
    """The launch ends there, exit 4, with the run's name and the file's."""
    kill(folder, "r1", [answered(1)], found=3)
    folder.write(run_file("r1", "run.json"), content)
    with pytest.raises(NotClosed, match=r"run r1 did not end, and cannot be closed: runs/r1/run.json (is|has) "):
        close_unfinished_runs(folder)


@given(
    answers=st.integers(0, 9),
    failures=st.integers(0, 9),
    here=st.integers(0, 9),
    earlier=st.integers(0, 9),
    found=st.none() | st.tuples(st.integers(0, 40), st.integers(0, 20)),
    pending_requests=st.integers(0, 9),
)
def test_counts_add_up_whatever_is_known(
    answers: int, failures: int, here: int, earlier: int, found: tuple[int, int] | None, pending_requests: int
) -> None:
    """Found is the sum of the others, and not less than what was counted as found; no count is negative."""
    recorded = {"succeeded": answers, "dead_lettered": failures, "duplicates": here, "skipped": earlier}
    known = {"found": found[0], "skipped": found[1]} if found else None
    counts = closed_counts(recorded, known, pending_requests)
    assert counts["found"] == sum(count for name, count in counts.items() if name != "found")
    assert counts["found"] >= (found[0] if found else 0)
    assert min(counts.values()) >= 0
    assert (counts["succeeded"], counts["dead_lettered"], counts["duplicates"]) == (answers, failures, here)
    assert found is not None or counts["deferred"] == pending_requests


class Killed(BaseException):
    """The process is gone."""


class KillingFolder(LocalFolder):
    """Ends the process before a change of the output, or after it."""

    left: Iterator[bool]

    def _change(self) -> None:
        if next(self.left, False):
            raise Killed

    def write(self, path: str, content: bytes | memoryview) -> None:
        self._change()
        super().write(path, content)
        self._change()

    def delete(self, paths: Sequence[str]) -> None:  # type: ignore[override]  # it is called with lists here
        for path in list(paths):  # a kill may hit between any two
            self._change()
            super().delete([path])
        self._change()

    def writer(self, path: str):  # type: ignore[no-untyped-def]  # as the one above it
        self._change()
        return super().writer(path)


def killing(folder: LocalFolder, after: int) -> KillingFolder:
    made = KillingFolder(folder.root)
    object.__setattr__(made, "left", iter([False] * after + [True]))
    return made


RECORDS = st.builds(
    lambda make, item, source: make(item, source=source, uris=(f"in/{source}.jpg",)),
    st.sampled_from([answered, answered, failed_record, copy]),
    st.integers(0, 5),
    st.integers(0, 9),
)


@settings(max_examples=8, phases=[Phase.generate])  # shrinking takes minutes: each example writes many files
@given(
    runs=st.lists(st.lists(RECORDS, max_size=6), min_size=1, max_size=3),
    kills=st.lists(st.integers(0, 60), max_size=4),
    is_late=st.booleans(),
)
def test_closing_may_be_killed_at_any_moment(
    tmp_path_factory: pytest.TempPathFactory, runs: list[list[JournalRecord]], kills: list[int], is_late: bool
) -> None:
    """However often, and between whatever two steps: the files and receipts at the end are those of one go."""
    ends = []
    for closing in (kills, []):
        folder = LocalFolder(str(tmp_path_factory.mktemp("output")))
        for number, records in enumerate(runs):
            timed = [structs.replace(one, completed_at=AT_US + at) for at, one in enumerate(records)]
            kill(folder, f"r{number}", timed, found=len(records) + 2)
        if is_late:
            close_unfinished_runs(folder)
            write_journal(folder, "r0", [answered(7, source=70, completed_at=AT_US + 99)], writer="late")
        for after in closing:
            try:
                close_unfinished_runs(killing(folder, after))
            except Killed:
                continue
        close_unfinished_runs(folder)
        assert (list(unfinished_runs(folder)), list(folder.list(JOURNAL))) == ([], [])
        receipts = [read_receipt(folder, f"r{number}") for number in range(len(runs))]
        assert all(receipt is not None and receipt.reconciled for receipt in receipts)
        rows = {table: ids_of(folder, table) for table in (PASSPORT, LEDGER, "dead_letters")}
        ends.append(([replace(receipt, files=[]) for receipt in receipts if receipt], rows))
        named = {file["path"] for receipt in receipts if receipt for file in receipt.files}
        assert named == {file.path for file in folder.list("") if file.path.endswith(".parquet")}
    assert ends[0] == ends[1]


def test_what_a_killed_publish_left_is_mended(folder: LocalFolder) -> None:
    """Killed as it replaced the tables of a run that had ended: that run is closed again, and stays what it was."""
    kill(folder, "r1", [answered(1)], found=1)
    (before,) = close_unfinished_runs(folder)
    write_receipt(folder, replace(before, status="complete"))
    begin_closing(folder, "r1")
    folder.delete([file["path"] for file in before.files if file["path"].startswith(PASSPORT)])
    folder.write(f"{PASSPORT}/run_id=r1/_part-1.arrow", b"half")
    folder.write(f"{PASSPORT}/run_id=r1/.part-2.parquet.0123.tmp", b"half")
    (receipt,) = close_unfinished_runs(folder)
    assert (receipt.status, outcomes(receipt)) == ("complete", outcomes(before))
    assert {file["path"] for file in receipt.files} == {
        file.path for table in ("documents", "dead_letters", "ledger") for file in folder.list(table)
    }
    assert (ids_of(folder), close_unfinished_runs(folder)) == ([answered(1).item_id], [])


def test_a_replay_completes_the_interrupted_ones_before_it(folder: LocalFolder) -> None:
    """Those since the last replay that came to its end; no run of another command, and not itself."""
    verbs = ["replay", "replay", "replay", "backfill", "backfill", "replay"]
    statuses = [INTERRUPTED, "complete", INTERRUPTED, INTERRUPTED, "complete", INTERRUPTED]
    for number, (command, status) in enumerate(zip(verbs, statuses, strict=True)):
        begin(folder, replace(run_of(f"r{number}", command), started_at=f"2026-11-2{number}T01:00:00+00:00"))
        close_unfinished_runs(folder)
        receipt = orjson.loads(folder.read(run_file(f"r{number}", "receipt.json")))
        folder.write(run_file(f"r{number}", "receipt.json"), orjson.dumps({**receipt, "status": status}))
    begin(folder, run_of("r9", "replay"))
    assert interrupted_replays(folder) == ("r2", "r5")


def test_each_record_of_a_killed_run_is_kept_once(folder: LocalFolder) -> None:
    """Killed as it published: what stands in its ledger and in its journal too is one record."""
    records = [answered(number, source=number, completed_at=AT_US + number) for number in range(3)]
    kill(folder, "r1", records, found=3)
    segment = folder.read(f"{of_run(JOURNAL, 'r1')}/a-000000.journal")
    close_unfinished_runs(folder)
    folder.delete([run_file("r1", "receipt.json")])
    folder.write(f"{of_run(JOURNAL, 'r1')}/a-000000.journal", segment)
    (receipt,) = close_unfinished_runs(folder)
    assert (outcomes(receipt), len(ids_of(folder)), len(ids_of(folder, LEDGER))) == ((3, 0, 0, 3, 0, 0), 3, 3)
