"""A watching graph ends by itself when it is told to, stopped, replaced, or left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cardbeam.calls.worker import Session, idle_timeout
from cardbeam.ratelimit.background_tasks import IDLE_TIMEOUT_S
from cardbeam.run_state.liveness.heartbeat import (
    HEARTBEAT_TIMEOUT_S,
    HeartbeatMonitor,
    WatchHeartbeat,
    read_watch_heartbeat,
    write_watch_heartbeat,
)
from cardbeam.run_state.stop_signal import BUDGET, StopSignal
from cardbeam.storage.folder import LocalFolder

RUN = "run-1"
FIRST = WatchHeartbeat("s1", 1_700_000_000, is_ending=False)


class Graph:
    """A graph of session s1 that listens, and its clock."""

    def __init__(self, path: Path) -> None:
        self.folder, self.now_s = LocalFolder(str(path)), 0.0
        write_watch_heartbeat(self.folder, RUN, FIRST)
        self.listener = HeartbeatMonitor(self.folder, RUN, "s1", lambda: self.now_s)

    def is_over_after(self, seconds: float) -> bool:
        self.now_s += seconds
        return self.listener.should_stop()


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    return Graph(tmp_path)


def test_it_goes_on_while_beats_come(graph: Graph) -> None:
    for number in range(5):
        write_watch_heartbeat(graph.folder, RUN, replace(FIRST, number=number))
        assert not graph.is_over_after(HEARTBEAT_TIMEOUT_S - 1)


def test_it_ends_when_no_beat_came_for_long(graph: Graph) -> None:
    assert not graph.is_over_after(1)
    assert not graph.is_over_after(HEARTBEAT_TIMEOUT_S - 1)
    assert graph.is_over_after(2)


def test_it_ends_when_told_to_or_replaced_or_never_begun(graph: Graph) -> None:
    for message in (replace(FIRST, is_ending=True), replace(FIRST, session="s2")):
        write_watch_heartbeat(graph.folder, RUN, message)
        assert graph.is_over_after(0)
        assert read_watch_heartbeat(graph.folder, RUN) == message
    graph.folder.delete([f"runs/{RUN}/heartbeat.json"])
    assert graph.is_over_after(0)


def test_it_ends_when_the_sending_stopped(graph: Graph) -> None:
    StopSignal(graph.folder, RUN).set(BUDGET)
    assert graph.is_over_after(0)


def test_a_worker_without_requests_keeps_its_share_for_as_long_as_more_may_come(graph: Graph) -> None:
    stop = StopSignal(graph.folder, RUN)
    watching = idle_timeout(graph.folder, RUN, Session("s1", is_alone=False, watches=True), stop)
    other = idle_timeout(graph.folder, RUN, Session("s1", is_alone=False), stop)
    assert (watching() > 30, other()) == (True, IDLE_TIMEOUT_S)
    write_watch_heartbeat(graph.folder, RUN, replace(FIRST, is_ending=True))
    assert watching() == IDLE_TIMEOUT_S
    write_watch_heartbeat(graph.folder, RUN, FIRST)
    stop.set(BUDGET)
    assert (watching(), other()) == (0.0, 0.0)
