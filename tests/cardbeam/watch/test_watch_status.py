"""A watch tells its backlog, its last success and listing, and recent failures, and writes only what changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardbeam.journal.follower import RecordKey
from cardbeam.storage.folder import LocalFolder
from cardbeam.watch.watch_status import RECENT_S, STATUS_FILE, StatusWriter, WatchStatus, read_watch_status

RUN = "run-1"
NOW_S = 1_800_000_000.0
A, B = ("a.jpg",), ("b.jpg",)


def known(uris: tuple[str, ...], outcome: str, code: str | None = None, *, may_be_old: bool = False) -> RecordKey:
    return RecordKey("0" * 32, None, outcome, False, uris, may_be_old=may_be_old, code=code)


class Told:
    """A writer, its clock, and what it wrote."""

    def __init__(self, path: Path) -> None:
        self.folder, self.now_s = LocalFolder(str(path)), 0.0
        self.writer = StatusWriter(self.folder, RUN, lambda: self.now_s, lambda: NOW_S + self.now_s)

    def after(self, seconds: float, **counts: object) -> WatchStatus:
        self.now_s += seconds
        self.writer.write(**{"waiting": 0, "in_flight": 0, "unpaired": 0, **counts})
        return read_watch_status(self.folder, RUN)


@pytest.fixture
def reported(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_what_is_told(reported: Told) -> None:
    """The oldest image is the one found first that has no result; what a listing shows no longer is not waited for."""
    reported.writer.note_found([A])
    reported.now_s = 3.0
    reported.writer.note_found([A, B])
    reported.writer.note_listing([A, B])
    first = reported.after(0, waiting=1, in_flight=1, unpaired=4, failing_inputs=["s3://b/c"], paused_since_s=NOW_S)
    reported.writer.note_record(known(A, "succeeded"))
    reported.writer.note_record(known(("c.jpg",), "failed", "http_503"))
    second = reported.after(6, waiting=1, next_retry_at_s=NOW_S + 60)
    reported.writer.note_listing([])
    third = reported.after(6)
    expected = WatchStatus(1, 1, 4, NOW_S, NOW_S + 3, None, ("s3://b/c",), {}, None, NOW_S)
    after_record = WatchStatus(1, 0, 0, NOW_S + 3, NOW_S + 3, NOW_S + 3, (), {"http_503": 1}, NOW_S + 60)
    assert (first, second) == (expected, after_record)
    assert third == WatchStatus(
        oldest_at_s=None, listed_at_s=NOW_S + 9, succeeded_at_s=NOW_S + 3, errors={"http_503": 1}
    )


def test_failures_are_recent_and_what_the_ledger_repeats_is_not_news(reported: Told) -> None:
    """Counts go by code, the most frequent first, and end with the window."""
    for code in ("timeout", "http_503", "http_503", None):
        reported.writer.note_record(known(A, "failed", code))
    reported.writer.note_record(known(B, "failed", "error_1", may_be_old=True))
    reported.writer.note_record(known(B, "succeeded", may_be_old=True))
    reported.writer.note_record(known(B, "duplicate"))
    during = reported.after(0)
    assert (during.errors, during.succeeded_at_s) == ({"http_503": 2, "timeout": 1, "unknown": 1}, None)
    assert reported.after(RECENT_S + 1).errors == {}


def test_the_file_is_written_every_few_seconds_and_only_where_something_changed(reported: Told) -> None:
    """An idle watch over a bucket writes nothing."""
    path = Path(reported.folder.root, f"runs/{RUN}/{STATUS_FILE}")
    reported.after(0)
    written = path.stat().st_mtime_ns
    reported.after(60)
    reported.after(60)
    reported.after(1, waiting=7)
    idle = path.stat().st_mtime_ns == written
    assert (idle, reported.after(5, waiting=8)) == (True, WatchStatus(waiting=8))


def test_a_store_that_is_away_is_tried_again(reported: Told) -> None:
    """What could not be written comes with the next write."""
    path = Path(reported.folder.root, "runs")
    path.write_bytes(b"in the way")
    reported.writer.write(waiting=1, in_flight=0, unpaired=0)
    path.unlink()
    assert reported.after(6, waiting=1) == WatchStatus(waiting=1)


def test_nothing_is_known_of_a_run_that_told_nothing(reported: Told) -> None:
    """A run of another kind, or one that has just begun, has no such file."""
    assert read_watch_status(reported.folder, "another") == WatchStatus()
