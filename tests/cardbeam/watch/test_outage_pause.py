"""A watch pauses when the endpoint answers nobody, and makes calls again with the first answer."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from cardbeam.journal.follower import RecordKey
from cardbeam.model.record import RecordStatus
from cardbeam.watch.outage_pause import FIRST_S, LONGEST_S, OutagePause

NOW_S = 1_800_000_000.0


@dataclass
class Watch:
    """A pause on a clock that the test moves."""

    s: float = 100.0
    pause: OutagePause = field(init=False)

    def __post_init__(self) -> None:
        self.pause = OutagePause(lambda: self.s, lambda: NOW_S + self.s)

    def record(
        self, outcome: RecordStatus, code: str | None = None, *, may_be_old: bool = False, ago_s: float = 0
    ) -> bool:
        """Whether calls are paused after a record that was made some seconds ago."""
        at = int((NOW_S + self.s - ago_s) * 1e6)
        self.pause.record(RecordKey("0" * 32, None, outcome.value, False, ("a.jpg",), may_be_old, code, None, at))
        return self.pause.is_on


def test_it_begins_with_what_a_worker_deferred_and_ends_with_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    """A line of the log each; other failures begin and end nothing."""
    watch = Watch()
    states = [watch.record(RecordStatus.RETRY, "http_500"), watch.record(RecordStatus.DEFERRED)]
    states.append(watch.record(RecordStatus.DEFERRED, "http_503"))
    watch.s += 40
    for outcome, code in (
        (RecordStatus.DEFERRED, None),
        (RecordStatus.RETRY, "timeout"),
        (RecordStatus.FAILED, "http_413"),
    ):
        states.append(watch.record(outcome, code))
    assert (states, watch.pause.since_at_s) == ([False, False, True, True, True, True], NOW_S + 100)
    watch.s += 23
    assert not watch.record(RecordStatus.SUCCEEDED)
    assert watch.pause.since_at_s is None
    assert caplog.messages == [
        "the endpoint does not answer (http_503): calls are paused, and images wait",
        "the endpoint answers again, after 0:01:03: calls are made again",
    ]


@pytest.mark.parametrize("code", ["error_1", "error_2", "error_3"])
def test_an_answer_without_a_card_is_an_answer(code: str) -> None:
    watch = Watch()
    watch.record(RecordStatus.DEFERRED, "timeout")
    watch.s += 1
    assert not watch.record(RecordStatus.FAILED, code)


def test_what_was_answered_before_ends_nothing() -> None:
    """A record of before the outage may be told after those of the outage."""
    watch = Watch()
    watch.record(RecordStatus.DEFERRED, "timeout")
    watch.s += 1
    assert watch.record(RecordStatus.SUCCEEDED, ago_s=5)
    assert watch.record(RecordStatus.SUCCEEDED, may_be_old=True, ago_s=5)


def test_a_worker_alone_that_finds_nobody_pauses_nothing() -> None:
    """Where another worker was just answered there is no outage; three seconds later there is."""
    watch = Watch()
    watch.record(RecordStatus.SUCCEEDED)
    watch.s += 2
    assert not watch.record(RecordStatus.DEFERRED, "timeout")
    assert not watch.record(RecordStatus.DEFERRED, "timeout", may_be_old=True)
    watch.s += 2
    assert watch.record(RecordStatus.DEFERRED, "timeout")


def test_probes_are_sent_at_growing_distance() -> None:
    """From one second to a minute, not longer; the next outage begins again."""
    watch, waits = Watch(), []
    watch.record(RecordStatus.DEFERRED, "timeout")
    for _ in range(9):
        began_s = watch.s
        while not watch.pause.may_probe:
            watch.s += 0.5
        waits.append(watch.s - began_s)
        watch.pause.probed()
    assert waits == [FIRST_S, 2, 4, 8, 16, 32, LONGEST_S, LONGEST_S, LONGEST_S]
    watch.record(RecordStatus.SUCCEEDED)
    watch.s += 10
    watch.record(RecordStatus.DEFERRED, "timeout")
    assert not watch.pause.may_probe
    watch.s += FIRST_S
    assert watch.pause.may_probe
