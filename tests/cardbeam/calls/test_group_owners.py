"""A group is the last bundle's that began it, and that one knows all that was processed of it before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardbeam.calls.group_owners import HEARTBEAT_TIMEOUT_S, Bundle, GroupOwners
from cardbeam.run_state.group_log import GROUPS, GroupLogs
from cardbeam.run_state.layout import run_file
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.folder import LocalFolder

RUN = "r1"


@dataclass
class Clock:
    """Goes on when somebody sleeps, and lets others act meanwhile."""

    now_s: float = 0.0
    meanwhile: list[Callable[[], None]] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        if self.meanwhile:
            self.meanwhile.pop(0)()


@dataclass
class Process:
    """A process of the run, and how often it has read what the others processed."""

    folder: LocalFolder | None
    name: str
    clock: Clock = field(default_factory=Clock)
    reloads: int = 0

    def __post_init__(self) -> None:
        def reload() -> None:
            self.reloads += 1

        now, sleep = (lambda: self.clock.now_s), self.clock.sleep
        logs = None if self.folder is None else GroupLogs(self.folder, RUN, self.name * 32)
        self.owners = GroupOwners(logs, self.name * 32, reload, clock=now, sleep=sleep)

    def begin(self, *groups: str) -> Bundle:
        bundle = self.owners.open_bundle()
        for group in groups:
            bundle.add(group)
        assert bundle.acquire(groups[0])
        bundle.release(groups[0])
        return bundle


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    return LocalFolder(str(tmp_path))


def test_groups_that_nobody_else_began_cost_no_reload(folder: LocalFolder) -> None:
    """Workers that share the groups of a run do not read each other's journals, whatever else they begin."""
    first, second = Process(folder, "a"), Process(folder, "b")
    bundles = [first.begin("1", "2"), second.begin("3"), first.begin("4"), second.begin("5", "6")]
    for process in (first, second):
        process.owners.poll()
    lost = [bundle.has_lost(group) for bundle, group in zip(bundles, ("1", "3", "4", "5"), strict=True)]
    assert (lost, first.reloads, second.reloads) == ([False] * 4, 0, 0)


def test_a_bundle_that_ended_is_known_at_once(folder: LocalFolder) -> None:
    """A bundle that runs again elsewhere reads what was processed, without a wait where the first has ended."""
    first, second = Process(folder, "a"), Process(folder, "b")
    first.begin("1", "2").end()
    again = second.begin("2", "3")
    assert (second.reloads, second.clock.now_s, again.has_lost("2")) == (1, 0.0, False)


def test_a_dead_bundle_is_waited_for_once(folder: LocalFolder) -> None:
    """Where the first worker was killed, its bundle is waited for a few seconds, and for no other of its groups."""
    Process(folder, "a").begin("1", "2", "3")
    second = Process(folder, "b")
    second.begin("1")
    assert HEARTBEAT_TIMEOUT_S <= second.clock.now_s < HEARTBEAT_TIMEOUT_S + 1
    waited_s = second.clock.now_s
    second.begin("2", "3")
    assert (second.reloads, second.clock.now_s) == (2, waited_s)


def test_a_living_bundle_is_waited_for_until_it_has_released_the_group(folder: LocalFolder) -> None:
    """It sees at its next look that it lost a group; what it has in flight of it is waited for, however long."""
    first, second = Process(folder, "a"), Process(folder, "b")
    bundle = first.begin("1", "2")
    assert bundle.acquire("1") and bundle.acquire("2")
    lost: list[bool] = []

    def poll() -> None:
        first.clock.now_s = second.clock.now_s
        first.owners.poll()
        lost.append(bundle.has_lost("1"))

    def release() -> None:
        bundle.release("1")
        poll()

    second.clock.meanwhile = [poll] * 40 + [release]
    second.begin("1")
    assert (set(lost), bundle.has_lost("2"), second.reloads) == ({True}, False, 1)
    assert 40 * 0.2 < second.clock.now_s < 41 * 0.2 + 0.1
    assert not bundle.acquire("1") and bundle.acquire("2")


def test_a_process_that_was_frozen_looks_before_it_sends(folder: LocalFolder) -> None:
    """Its groups were begun by another meanwhile: it finds out with its first request."""
    first, second = Process(folder, "a"), Process(folder, "b")
    bundle = first.begin("1", "2")
    second.begin("1")
    assert not bundle.has_lost("1")
    first.clock.now_s += 60
    assert (bundle.acquire("1"), bundle.acquire("2")) == (False, True)


def test_what_is_left_of_a_failed_attempt_begins_nothing_of_its_successor(folder: LocalFolder) -> None:
    """A bundle whose successor began a group before it does not take it back, however late it comes to it."""
    first, second = Process(folder, "a"), Process(folder, "b")
    bundle = first.begin("1")
    successor = second.begin("1", "2")
    bundle.add("2")
    assert (bundle.acquire("2"), bundle.acquire("1"), successor.has_lost("2")) == (False, False, False)


def test_bundles_of_one_process_without_others(folder: LocalFolder) -> None:
    """A process that is alone writes nothing, tells its own bundles apart, and forgets those that have ended."""
    process = Process(None, "a")
    first = process.begin("1")
    assert first.acquire("1")
    process.clock.meanwhile = [first.end]
    second = process.begin("1", "2")
    assert (first.has_lost("1"), second.has_lost("1"), process.reloads) == (True, False, 0)
    assert 0 < process.clock.now_s < 1
    second.end()
    assert (process.owners._latest, process.owners._open, list(folder.list(""))) == ({}, {}, [])


def test_a_log_that_cannot_be_written_begins_nothing(tmp_path: Path) -> None:
    """The group is begun by the next try; nothing was sent for it before."""
    (tmp_path / "runs").write_text("no folder")
    bundle = Process(LocalFolder(str(tmp_path)), "a").owners.open_bundle()
    bundle.add("1")
    with pytest.raises(OSError, match="runs"):
        bundle.acquire("1")
    (tmp_path / "runs").unlink()
    assert bundle.acquire("1")


def test_a_file_of_somebody_else_is_no_log(folder: LocalFolder) -> None:
    """A stray file is passed over; a log that is no log is named."""
    path = run_file(RUN, GROUPS)
    folder.write(f"{path}/.DS_Store", b"?")
    assert not Process(folder, "a").begin("1").has_lost("1")
    folder.write(f"{path}/{'c' * 32}", b"[1]")
    with pytest.raises(DamagedFile, match=f"{path}/{'c' * 32} is no log of groups"):
        Process(folder, "b").begin("1")


STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["begin", "poll", "end"]), st.integers(0, 3)))


@settings(max_examples=60)
@given(STEPS)
def test_there_is_one_owner(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, int]]) -> None:
    """Through any steps of three processes: of the bundles that began a group the last begun has it, once all looked.

    No other process began it before the owner without the owner's having read what that one processed.
    """
    folder = LocalFolder(str(tmp_path_factory.mktemp("output")))
    processes = {name: Process(folder, name) for name in "abc"}
    begun: dict[int, list[tuple[str, Bundle]]] = {}
    for name, step, group in steps:
        process = processes[name]
        if step == "begin":
            before, reloads = begun.setdefault(group, []), process.reloads
            bundle = process.begin(str(group))
            assert (process.reloads > reloads) == bool(before)
            before.append((name, bundle))
        elif step == "poll":
            process.owners.poll()
        elif group in begun:
            begun[group][-1][1].end()
    for process in processes.values():
        process.owners.poll()
    for group, bundles in begun.items():
        lost = [bundle.has_lost(str(group)) for _, bundle in bundles]
        assert lost == [True] * (len(bundles) - 1) + [False]
