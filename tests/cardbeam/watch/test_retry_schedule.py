"""A failed image is sent again at growing distances, whoever restarts, and a bounded number of times."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.journal.follower import RecordKey
from cardbeam.model.record import RecordStatus
from cardbeam.model.request import ImageRef, Request
from cardbeam.storage.folder import LocalFolder
from cardbeam.watch.retry_schedule import DEFERRED_S, DELAYS_S, MAX_KEPT, RETRIES_FILE, RetrySchedule

NOW_S = 1_800_000_000.0
LATE_S = 0.001


def request(name: str = "a.jpg", version: str = "1") -> Request:
    return Request("ekyc/card", (ImageRef(name, 1000, version),))


def failed(one: Request, at_s: float, *, may_be_old: bool = False) -> RecordKey:
    return RecordKey(
        "0" * 32, one.source_id, RecordStatus.RETRY.value, True, one.uris, may_be_old, "http_500", None, int(at_s * 1e6)
    )


class Clocks:
    """A process's clock, and the wall's."""

    def __init__(self, folder: LocalFolder) -> None:
        self.folder, self.s, self.wall_s = folder, 7.0, NOW_S

    def go(self, seconds: float) -> None:
        self.s += seconds
        self.wall_s += seconds

    def launch(self) -> RetrySchedule:
        schedule = RetrySchedule(self.folder, lambda: self.s, lambda: self.wall_s)
        schedule.load()
        return schedule

    def fail(self, schedule: RetrySchedule, one: Request, *, is_own: bool = True) -> None:
        schedule.add(schedule.dispatch(one), failed(one, self.wall_s), is_own=is_own)

    def until_due(self, schedule: RetrySchedule) -> float:
        """Seconds until something is due."""
        began_s = self.s
        while not schedule.due():
            self.go(0.5)
            assert self.s - began_s < 2 * DELAYS_S[-1]
        return self.s - began_s


@pytest.fixture
def clocks(tmp_path: Path) -> Clocks:
    return Clocks(LocalFolder(str(tmp_path)))


def test_the_distance_grows_and_the_last_failure_is_final(clocks: Clocks) -> None:
    """Each failure but the last leaves the image to a retry; the waits are those of the table."""
    schedule, waits, may_retry = clocks.launch(), [], []
    for _ in DELAYS_S:
        may_retry.append(schedule.dispatch(request()).may_retry)
        clocks.fail(schedule, request())
        waits.append(clocks.until_due(schedule))
    may_retry.append(schedule.dispatch(request()).may_retry)
    assert (tuple(waits), may_retry) == (DELAYS_S, [True] * len(DELAYS_S) + [False])


def test_what_an_outage_deferred_is_due_soon_and_counts_for_nothing(clocks: Clocks) -> None:
    schedule = clocks.launch()
    for _ in range(20):
        clocks.fail(schedule, request(), is_own=False)
        assert clocks.until_due(schedule) == DEFERRED_S
    assert schedule.dispatch(request()).may_retry
    clocks.fail(schedule, request())
    assert clocks.until_due(schedule) == DELAYS_S[0]


def test_a_restart_keeps_the_distance_and_the_count(clocks: Clocks) -> None:
    """Another process, whose clock begins anywhere, waits for the rest of the time, once a listing shows the image."""
    first = clocks.launch()
    clocks.fail(first, request())
    clocks.go(1)
    clocks.fail(first, request())
    first.keep(is_last=True)
    clocks.go(50)
    clocks.s = 0.0
    second = clocks.launch()
    assert (len(second), second.due(), second.waits(request()), second.waits(request("b.jpg"))) == (0, [], True, False)
    assert (len(second), clocks.until_due(second)) == (1, DELAYS_S[1] - 50)
    clocks.fail(second, request())
    assert clocks.until_due(second) == DELAYS_S[2]


def test_a_retry_tells_how_it_failed_before_also_after_a_restart(clocks: Clocks) -> None:
    """So that its next failure is not taken for the endpoint's. What an outage deferred had no failure of its own."""
    first = clocks.launch()
    new = first.dispatch(request()).failed_before
    clocks.fail(first, request())
    clocks.go(1)
    clocks.fail(first, request(), is_own=False)
    clocks.fail(first, request("b.jpg"), is_own=False)
    first.keep(is_last=True)
    second = clocks.launch()
    reported = [one.dispatch(request()).failed_before for one in (first, second)]
    assert (new, reported, first.dispatch(request("b.jpg")).failed_before) == ("", ["http_500", "http_500"], "")


def test_the_file_is_written_every_few_seconds_and_at_the_end(clocks: Clocks) -> None:
    """In between a failing image does not make a write of each record."""
    schedule, writes = clocks.launch(), []
    clocks.go(10)
    for number in range(20):
        clocks.fail(schedule, request(f"{number}.jpg"))
        schedule.keep()
        writes.append(len(orjson.loads(clocks.folder.read(RETRIES_FILE))))
        clocks.go(1)
    assert sorted(set(writes)) == [1, 6, 11, 16]
    schedule.keep(is_last=True)
    assert len(orjson.loads(clocks.folder.read(RETRIES_FILE))) == 20


def test_nothing_is_written_where_nothing_fails(clocks: Clocks) -> None:
    schedule = clocks.launch()
    clocks.fail(schedule, request(), is_own=False)
    schedule.keep(is_last=True)
    assert list(clocks.folder.list("")) == []


def test_another_version_of_an_image_is_new(clocks: Clocks) -> None:
    schedule = clocks.launch()
    clocks.fail(schedule, request())
    assert [schedule.waits(request(version="2")), schedule.waits(request()), len(schedule)] == [False, False, 0]


def test_what_is_settled_is_sent_no_more(clocks: Clocks) -> None:
    """A result that is told again may be of an earlier version, and processes no other."""
    schedule, two = clocks.launch(), request(version="2")
    clocks.fail(schedule, two)
    answered = RecordKey("0" * 32, request().source_id, RecordStatus.SUCCEEDED.value, False, two.uris, may_be_old=True)
    schedule.complete(answered)
    assert schedule.waits(two)
    schedule.complete(
        RecordKey("0" * 32, two.source_id, RecordStatus.SUCCEEDED.value, False, two.uris, may_be_old=True)
    )
    assert (schedule.waits(two), schedule.next_at_s) == (False, None)


def test_a_record_that_is_told_once_more_counts_once(clocks: Clocks) -> None:
    """The ledger repeats what the journal said; one that only the ledger tells is news."""
    schedule, one = clocks.launch(), request()
    first, later = failed(one, NOW_S, may_be_old=True), failed(one, NOW_S + LATE_S, may_be_old=True)
    assert not schedule.is_old(first)
    schedule.add(one, failed(one, NOW_S), is_own=True)
    assert [schedule.is_old(known) for known in (first, later, failed(one, NOW_S))] == [True, False, False]
    schedule.add(one, first, is_own=True)
    assert clocks.until_due(schedule) == DELAYS_S[0]


def test_what_is_gone_is_forgotten(clocks: Clocks) -> None:
    """What an earlier process kept and a whole listing does not show is not kept for ever."""
    first = clocks.launch()
    for name in ("a.jpg", "b.jpg"):
        clocks.fail(first, request(name))
    first.keep(is_last=True)
    second = clocks.launch()
    second.waits(request("b.jpg"))
    clocks.fail(second, request("c.jpg"))
    second.end_listing()
    second.keep(is_last=True)
    assert sorted(row[5] for row in orjson.loads(clocks.folder.read(RETRIES_FILE))) == ["b.jpg", "c.jpg"]


def test_the_file_is_bounded(clocks: Clocks) -> None:
    """It holds what is due first."""
    schedule = clocks.launch()
    for number in range(MAX_KEPT + 5):
        clocks.fail(schedule, request(f"{number:06}.jpg"))
        clocks.go(0.001)
    schedule.keep(is_last=True)
    rows = orjson.loads(clocks.folder.read(RETRIES_FILE))
    assert (len(rows), max(row[5] for row in rows)) == (MAX_KEPT, f"{MAX_KEPT - 1:06}.jpg")


def test_a_clock_that_was_put_forward_delays_no_retry_for_ever(clocks: Clocks) -> None:
    """A time far in the future, kept by a process with a wrong clock, is cut to the longest delay."""
    clocks.folder.write(RETRIES_FILE, orjson.dumps([[NOW_S + 1e9, 1, 0, "http_500", request().source_id, "a.jpg"]]))
    schedule = clocks.launch()
    assert schedule.waits(request())
    assert clocks.until_due(schedule) == DELAYS_S[-1]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3), st.lists, max_leaves=8
)


@given(st.one_of(st.binary(max_size=40), JSON.map(lambda one: json.dumps(one).encode())))
def test_a_damaged_file_is_none(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever it holds, a watch starts, and an image that the file does not name as it should is new."""
    clocks = Clocks(LocalFolder(str(tmp_path_factory.mktemp("output"))))
    clocks.folder.write(RETRIES_FILE, content)
    schedule = clocks.launch()
    assert not schedule.waits(request())
    clocks.fail(schedule, request())
    schedule.keep(is_last=True)
    assert "a.jpg" in [row[5] for row in orjson.loads(clocks.folder.read(RETRIES_FILE))]
