"""Of two publishers of a run, the one that began last writes, and shows life; another launch ends both."""

from __future__ import annotations

import time
from pathlib import Path

import orjson
import pytest

from cardbeam.run_state.liveness.run_lock import CONFIRMED_FOR_S, LOCK_FILE, TakenOver
from cardbeam.run_state.liveness.worker_heartbeat import counts_of, list_heartbeats
from cardbeam.storage.folder import LocalFolder
from cardbeam.watch.publishing.publisher_lease import PublisherLease, PublisherSuperseded

RUN = "run-1"


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    folder = LocalFolder(str(tmp_path))
    folder.write(LOCK_FILE, orjson.dumps({"run_id": RUN}))
    return folder


def test_the_publisher_that_began_last_has_the_right(folder: LocalFolder) -> None:
    """It waits for so long that one before it has seen it, and writes nothing more."""
    waited_s: list[float] = []
    first = PublisherLease(folder, RUN, sleep=waited_s.append)
    first.begin()
    first.confirm()
    second = PublisherLease(folder, RUN, sleep=waited_s.append)
    second.begin()
    second.confirm()
    with pytest.raises(PublisherSuperseded, match=f"another publisher of run {RUN}"):
        first.confirm()
    assert waited_s == [CONFIRMED_FOR_S]


@pytest.mark.parametrize("lock", [orjson.dumps({"run_id": "run-2"}), b""])
def test_another_launch_ends_it(folder: LocalFolder, lock: bytes) -> None:
    """Not while its lock is being written: the next look tells."""
    lease = PublisherLease(folder, RUN)
    lease.begin()
    folder.write(LOCK_FILE, lock)
    if lock:
        with pytest.raises(TakenOver, match=f"another launch took over run {RUN}"):
            lease.confirm()
    else:
        lease.confirm()


def test_it_shows_life_until_it_ends(folder: LocalFolder) -> None:
    """Between its steps too; a job that ended leaves no file for the next launch to wait for."""
    lease = PublisherLease(folder, RUN)
    lease.begin()
    with lease:
        until_s = time.monotonic() + 10
        while not (first := counts_of(list_heartbeats(folder, RUN))) and time.monotonic() < until_s:
            time.sleep(0.01)
    while (later := counts_of(list_heartbeats(folder, RUN))) == first and time.monotonic() < until_s:
        time.sleep(0.01)
    lease.end()
    time.sleep(1.2)  # beyond the next beat
    assert (set(first.values()), later not in ({}, first), list_heartbeats(folder, RUN)) == ({1}, True, [])
