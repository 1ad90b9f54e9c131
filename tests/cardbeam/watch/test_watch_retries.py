"""A watch sends failed images again at growing distance, and waits in an outage: nothing that may come is buried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cardbeam.model.record import RecordStatus
from cardbeam.watch.publishing.unprocessed import Unprocessed, unprocessed
from cardbeam.watch.watch_status import read_watch_status
from tests.cardbeam.watch.test_watcher import OLD_S, RUN, Watch, write

ANSWERED, DEAD, RETRY, DEFERRED = RecordStatus.SUCCEEDED, RecordStatus.FAILED, RecordStatus.RETRY, RecordStatus.DEFERRED
DELAYS_S = (20.0, 40.0, 80.0)
"""Shorter than those of a watch, so that a test lists its folder less often."""


@pytest.fixture(scope="module", autouse=True)
def _short_delays() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cardbeam.watch.retry_schedule.DELAYS_S", DELAYS_S)
        yield


@pytest.fixture
def watch_of(tmp_path: Path) -> Callable[..., Watch]:
    return lambda **options: Watch(tmp_path, **options)


class Workers:
    """What the workers of a watch make of what it dispatches: a record each, at once."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.is_out = False
        self.failures: dict[str, int] = {}
        """Left, by the name of an image."""
        self.calls: list[tuple[float, str]] = []
        self.ends: dict[str, RecordStatus] = {}
        self.most_in_outage = 0

    def work(self) -> None:
        """End all that is in flight."""
        given = list(self.watch.watcher._pending)
        if self.is_out:
            self.most_in_outage = max(self.most_in_outage, len(given))
        for one in given:
            name = Path(one.request.uris[0]).name
            assert name not in self.ends
            self.calls.append((self.watch.now_s, name))
            outcome, code = self._outcome(name, may_retry=one.request.may_retry)
            if outcome in (ANSWERED, DEAD):
                self.ends[name] = outcome
            completed_at = int((OLD_S + self.watch.now_s) * 1e6) + len(self.calls)
            is_left = outcome in (RETRY, DEFERRED)
            write(
                self.watch.folder,
                one.request,
                outcome=outcome.value,
                code=code,
                completed_at=completed_at,
                retriable=is_left,
            )

    def _outcome(self, name: str, *, may_retry: bool) -> tuple[RecordStatus, str | None]:
        if self.is_out:
            return DEFERRED, "http_503"
        if not self.failures.get(name):
            return ANSWERED, None
        self.failures[name] -= 1
        return (RETRY if may_retry else DEAD), "http_500"

    def go(self, seconds: float) -> None:
        """Steps of the watch, with the workers' work after each."""
        until_s = self.watch.now_s + seconds
        while self.watch.now_s < until_s:
            self.watch.step()
            self.work()
            self.watch.sleep(0.1)

    def times(self, name: str) -> list[float]:
        return [at_s for at_s, called in self.calls if called == name]


def test_an_image_that_fails_is_sent_again_at_growing_distance_and_ends_as_a_dead_letter(
    watch_of: Callable[..., Watch],
) -> None:
    """Others are read meanwhile; after the last retry it is not sent again."""
    watch = watch_of()
    workers = Workers(watch)
    workers.failures["a"] = 99
    watch.put("a", b"1")
    workers.go(60)
    watch.put("b", b"22")
    workers.go(sum(DELAYS_S) + 200)
    times_s = workers.times("a")
    distances_s = [later - earlier for earlier, later in pairwise(times_s)]
    assert distances_s == pytest.approx(DELAYS_S, abs=6)
    assert workers.ends == {"a": DEAD, "b": ANSWERED}
    assert len(workers.times("b")) == 1


def test_a_failure_that_passes_is_no_dead_letter(watch_of: Callable[..., Watch]) -> None:
    watch = watch_of()
    workers = Workers(watch)
    workers.failures["a"] = 2
    watch.put("a", b"1")
    workers.go(DELAYS_S[0] + DELAYS_S[1] + 20)
    assert (workers.ends, len(workers.calls)) == ({"a": ANSWERED}, 3)


def test_a_restart_keeps_the_distance(watch_of: Callable[..., Watch]) -> None:
    """A launch every twelve seconds: each try is sent as long after the one before as without them."""
    watch = watch_of()
    workers = Workers(watch)
    workers.failures["a"] = 99
    watch.put("a", b"1")
    for _ in range(8):
        workers.go(12)
        watch.should_stop = True
        assert watch.step() is None
        watch.should_stop = False
        watch.begin(0)
    times_s = workers.times("a")
    distances_s = [later - earlier for earlier, later in pairwise(times_s)]
    assert distances_s == pytest.approx(DELAYS_S[:2], abs=6)


def test_an_outage_pauses_the_calls_and_buries_nothing(
    watch_of: Callable[..., Watch], caplog: pytest.LogCaptureFixture
) -> None:
    """Two minutes of outage: one image at a time, a handful of calls; with the first answer all are sent."""
    watch = watch_of()
    workers = Workers(watch)
    for number in range(5):
        watch.put(f"a{number}", b"x" * (number + 1))
    workers.go(20)
    workers.is_out = True
    for number in range(40):
        watch.put(f"b{number}", b"y" * (number + 1))
    workers.go(15)
    during = len(workers.calls)
    workers.most_in_outage = 0
    workers.go(105)
    assert (workers.most_in_outage, len(workers.calls) - during) == (1, 3)
    reported = read_watch_status(watch.folder, RUN)
    assert (reported.paused_since_s is not None, reported.waiting, reported.deferred) == (True, 40, 40)
    assert unprocessed(watch.folder, RUN) == Unprocessed(0, 40)
    workers.is_out = False
    workers.go(70)
    assert Counter(workers.ends.values()) == {ANSWERED: 45}
    assert [message.partition(" (")[0].partition(",")[0] for message in caplog.messages] == [
        "the endpoint does not answer",
        "the endpoint answers again",
    ]


def test_in_an_outage_an_image_s_own_failures_are_not_counted(watch_of: Callable[..., Watch]) -> None:
    """An image that failed once before has all its other tries when the endpoint answers again."""
    watch = watch_of()
    workers = Workers(watch)
    workers.failures["a"] = len(DELAYS_S)
    watch.put("a", b"1")
    workers.go(11)
    workers.is_out = True
    workers.go(200)
    workers.is_out = False
    watch.put("b", b"22")
    workers.go(sum(DELAYS_S) + 100)
    assert workers.ends == {"a": ANSWERED, "b": ANSWERED}


def test_a_record_that_the_watch_missed_is_taken_up_when_it_begins_again(watch_of: Callable[..., Watch]) -> None:
    """Killed between the worker's record and its own: the image is neither lost nor sent twice at once."""
    watch = watch_of()
    workers = Workers(watch)
    workers.failures["a"] = 1
    watch.put("a", b"1")
    assert watch.step() == ["a"]
    workers.work()
    watch.begin(1)
    assert [len(watch.watcher._pending), unprocessed(watch.folder, RUN)] == [0, Unprocessed(0, 1)]
    workers.go(DELAYS_S[0] + 12)
    assert (workers.ends, unprocessed(watch.folder, RUN)) == ({"a": ANSWERED}, Unprocessed(0, 0))


def test_what_is_dispatched_again_is_in_flight_until_its_next_record(watch_of: Callable[..., Watch]) -> None:
    """Its record of the try before says nothing about this one."""
    watch = watch_of()
    workers = Workers(watch)
    workers.failures["a"] = 1
    watch.put("a", b"1")
    assert watch.step() == ["a"]
    assert unprocessed(watch.folder, RUN) == Unprocessed(1, 0)
    workers.work()
    while watch.step() != ["a"]:
        watch.sleep(1)
    assert unprocessed(watch.folder, RUN) == Unprocessed(1, 0)
    watch.begin(watch.number)
    assert [one.request.may_retry for one in watch.watcher._pending] == [False]
    assert len(watch.watcher._pending) == 1


def test_another_version_is_sent_at_once(watch_of: Callable[..., Watch]) -> None:
    """An image that waits for its retry and is replaced is another one."""
    watch = watch_of()
    workers = Workers(watch)
    workers.failures["a"] = 1
    watch.put("a", b"1")
    workers.go(5)
    watch.put("a", b"22", OLD_S - 30)
    workers.go(11)
    assert workers.ends == {"a": ANSWERED}


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 7)),
        st.tuples(st.just("out"), st.booleans()),
        st.tuples(st.just("restart"), st.booleans()),
        st.tuples(st.just("go"), st.sampled_from([1, 5, 21, 100])),
    ),
    max_size=12,
)


@settings(max_examples=15, deadline=None)
@given(failures=st.lists(st.sampled_from([0, 0, 1, 3, 99]), min_size=8, max_size=8), events=EVENTS)
@example(failures=[99] * 8, events=[("put", 5), ("out", True), ("go", 1)])
def test_whatever_happens_each_image_ends_once(
    tmp_path_factory: pytest.TempPathFactory, failures: list[int], events: list[tuple[str, int]]
) -> None:
    """With outages and restarts at any time: no image is in flight twice or sent after its end, and all end: as dead
    letters those alone that always fail."""
    watch = Watch(tmp_path_factory.mktemp("watch"))
    workers = Workers(watch)
    workers.failures = {f"{number}": count for number, count in enumerate(failures)}
    always = {name for name, count in workers.failures.items() if count == 99}
    put: set[str] = set()
    for what, value in events:
        if what == "put":
            put.add(f"{value}")
            watch.put(f"{value}", b"x" * (value + 1))
        elif what == "out":
            workers.is_out = bool(value)
        elif what == "restart":
            watch.begin(watch.number if value else 0)
        else:
            workers.go(value)
    workers.is_out = False
    put.add("good")
    watch.put("good", b"x" * 100)  # alone, an image that always fails could not be told from an outage
    workers.go(sum(DELAYS_S) + 200)
    assert workers.ends == {name: DEAD if name in always else ANSWERED for name in put}
    assert unprocessed(watch.folder, RUN) == Unprocessed(0, 0)


def test_an_image_that_waits_for_a_retry_is_the_oldest(watch_of: Callable[..., Watch]) -> None:
    """What failed keeps the time at which it was found, through listings, until it has its result."""
    watch = watch_of()
    workers = Workers(watch)
    workers.failures["a"] = 1
    watch.put("a", b"1")
    workers.go(15)
    before = read_watch_status(watch.folder, RUN).oldest_at_s
    workers.go(30)
    after = read_watch_status(watch.folder, RUN).oldest_at_s
    assert (before, after, workers.ends) == (OLD_S, None, {"a": ANSWERED})
