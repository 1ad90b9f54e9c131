"""Workers that share a quota by leases never pass it together, whatever happens to them, and use all of it."""

from __future__ import annotations

import math
from functools import partial
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardbeam.ratelimit.lease import RENEWED_WITHIN_S, Lease
from cardbeam.ratelimit.membership import DEAD_AFTER_S, FRESH_S, SHOWS_WITHIN_S, View
from cardbeam.ratelimit.throttle import Quota
from cardbeam.run_state.liveness.run_lock import CONFIRMED_FOR_S
from cardbeam.run_state.liveness.worker_heartbeat import counts_of
from pipeline.runs.lock import HEARTBEAT_INTERVAL_S
from tests.cardbeam.ratelimit.lease_simulation import LateFolder, Worker, World, most_in_a_window

LEASES = "runs/run/leases"


def _simulate(seed: int, rate_per_s: float, seconds: float, pause_chance: float) -> World:
    """Up to eight workers that come, often several at once, go and die every few seconds; at times all go."""
    world, quota = World(Random(seed)), Quota.of(rate_per_s)
    workers: list[Worker] = []

    def join() -> None:
        workers.append(Worker(world, len(workers), quota, rate_per_s, pause_chance))

    def stir() -> None:
        living = [worker for worker in workers if worker.is_alive and worker.is_sending]
        deed = world.random.choice(["join", "join", "kill", "release", "nothing", "all leave"])
        if (deed == "join" and len(living) < 8) or not living:
            for _ in range(world.random.randint(1, 3)):
                world.at(world.now_s + world.random.uniform(0, 2), join)
        elif deed == "all leave":
            for worker in living:
                worker.release()
        elif deed != "nothing":
            getattr(world.random.choice(living), deed if deed != "join" else "release")()
        world.at(world.now_s + world.random.expovariate(1 / 6), stir)

    world.at(0.0, stir)
    world.run(seconds)
    return world


@pytest.mark.parametrize("rate_per_s", [0.4, 1, 2.5, 7, 20, 200])
@pytest.mark.parametrize("pause_chance", [0.0, 0.02])
def test_no_window_ever_sees_more_than_the_quota(rate_per_s: float, pause_chance: float) -> None:
    quota = Quota.of(rate_per_s)
    for seed in range(3):
        world = _simulate(seed, rate_per_s, 180.0, pause_chance)
        times_s = [time_s for time_s, _ in world.permissions]
        assert len(times_s) > 10 * rate_per_s  # it did send
        assert most_in_a_window(times_s, quota.window_s) <= quota.slots


@given(st.integers(0, 2**32), st.floats(0.2, 40), st.floats(0, 0.05))
@settings(max_examples=25, deadline=None)
def test_no_window_sees_more_at_any_rate(seed: int, rate_per_s: float, pause_chance: float) -> None:
    quota = Quota.of(rate_per_s)
    times_s = [time_s for time_s, _ in _simulate(seed, rate_per_s, 60.0, pause_chance).permissions]
    assert times_s or pause_chance > 0.01 or rate_per_s < 0.5  # it did send, but where a worker seldom gets that far
    assert most_in_a_window(times_s, quota.window_s) <= quota.slots


@pytest.mark.parametrize("apart_s", [0.0, 0.4, 0.6, 1.0, 1.4, 1.9, 2.4, 4.0])
@pytest.mark.parametrize("workers", [2, 5])
def test_the_first_workers_of_a_run_keep_the_quota_however_far_apart_they_begin(workers: int, apart_s: float) -> None:
    quota = Quota.of(20)
    for seed in range(8):
        world = World(Random(seed))
        for number in range(workers):
            world.at(number * apart_s, partial(Worker, world, number, quota, 20, 0.0))
        world.run(20.0)
        times_s = [time_s for time_s, _ in world.permissions]
        assert most_in_a_window(times_s, quota.window_s) <= quota.slots
        assert min(times_s) < 5.0


@pytest.mark.parametrize(("deed", "within_s"), [("kill", 12), ("release", 4)])
@pytest.mark.parametrize("rate_per_s", [20, 200])
def test_the_share_of_a_worker_that_is_gone_is_back_in_use_soon(rate_per_s: float, deed: str, within_s: float) -> None:
    world, quota = World(Random(1)), Quota.of(rate_per_s)
    workers = [Worker(world, number, quota, rate_per_s, 0.0) for number in range(4)]
    world.at(40.0, getattr(workers[0], deed))
    world.run(80.0)

    def sent_between(start_s: float, end_s: float) -> int:
        return sum(start_s <= time_s < end_s for time_s, _ in world.permissions)

    assert sent_between(10, 40) >= 0.98 * 30 * rate_per_s
    assert sent_between(41, 42) <= 0.8 * rate_per_s
    assert sent_between(40 + within_s, 80) >= 0.98 * (40 - within_s) * rate_per_s


def test_a_newcomer_takes_over_its_share_without_a_long_gap() -> None:
    world, quota = World(Random(2)), Quota.of(20)
    first = Worker(world, 0, quota, 20, 0.0)
    world.run(20.0)
    second = Worker(world, 1, quota, 20, 0.0)
    world.run(40.0)
    by_worker = {name: [time_s for time_s, of in world.permissions if of == name] for name in (first.name, second.name)}
    assert 25.0 < min(by_worker[second.name]) < 27.0
    missing = 20 * 20 - sum(20 <= time_s < 40 for time_s, _ in world.permissions)
    assert missing < 0.5 * 20 * 3.3 + 0.01 * 400 + 1  # half the quota for 3.3 s at most, and the pace


@given(st.integers(1, 300), st.integers(1, 400))
def test_slots_of_all_ranks_add_up_to_the_quota(workers: int, slots: int) -> None:
    names = [f"{number:04x}" for number in range(workers)]
    shares = []
    for name in names:
        view = View(name, Quota(slots, 1.0))
        view.take(dict.fromkeys(names, 1), 0.0, 0.0)
        shares.append(view.slots(2.0))
    assert sum(shares) == slots
    assert max(shares) - min(shares) <= 1


@given(st.integers(1, 60), st.sets(st.integers(0, 99), min_size=1, max_size=20), st.sets(st.integers(0, 99)))
def test_more_workers_in_a_view_never_make_for_more_slots(slots: int, few: set[int], others: set[int]) -> None:
    def share(name: int, seen: set[int]) -> int:
        view = View(f"{name:04x}", Quota(slots, 1.0))
        view.take({f"{number:04x}": 1 for number in seen}, 0.0, 0.0)
        return view.slots(2.0)

    for name in few:
        assert share(name, few | others) <= share(name, few)
        assert share(name, few) >= slots // len(few)


def test_a_lease_that_does_not_change_is_dead_after_a_while_and_counts_for_one_more_window() -> None:
    view = View("b", Quota(10, 1.0))
    for second in range(12):
        view.take({"a": 1, "b": second}, float(second), float(second))
    died_s = DEAD_AFTER_S + 1
    assert [view.slots(11.9), view.slots(died_s)] == [10, 5]


def test_a_lease_that_was_removed_counts_no_longer_and_one_that_comes_again_is_a_newcomer() -> None:
    view = View("b", Quota(10, 1.0))
    slots = []
    for second in range(12):
        others = {"a": second} if second not in (5, 6) else {}
        view.take({"b": second, **others}, float(second), float(second))
        slots.append(view.slots(second + 0.9))
    assert slots == [0, 5, 5, 5, 5, 10, 10, 10, 10, 10, 5, 5]


def test_a_view_that_is_too_old_gives_nothing_and_a_new_one_only_a_window_later() -> None:
    view = View("b", Quota(10, 1.0))
    view.take({"b": 1}, 0.0, 0.1)
    view.take({"b": 2}, 10.0, 10.2)
    assert [view.slots(0.5), view.slots(2.0 + FRESH_S + 6), view.slots(11.3), view.slots(11.8)] == [0, 10, 0, 10]


def test_the_times_are_those_of_the_proof() -> None:
    """Who is taken for lost begins again or gives nothing: A < T - D. No lock is trusted for as long as that takes."""
    assert RENEWED_WITHIN_S < DEAD_AFTER_S - SHOWS_WITHIN_S
    assert min(DEAD_AFTER_S, HEARTBEAT_INTERVAL_S) > CONFIRMED_FOR_S


def test_a_lease_that_is_renewed_as_late_as_may_be_is_never_taken_for_dead() -> None:
    """Its writes begin A apart; of two the first may show at once, and the second D late."""
    view, quota = View("b", Quota(10, 1.0)), []
    for count in range(1, 4):
        shown_s = count * RENEWED_WITHIN_S + (SHOWS_WITHIN_S if count % 2 == 0 else 0.0)
        for listed_s in (shown_s, shown_s + 2.0, shown_s + RENEWED_WITHIN_S - 0.6):
            view.take({"a": count, "b": 1}, listed_s, listed_s)
            quota.append(view.slots(listed_s + 0.1))
    assert quota[1:] == [5] * 8  # nothing before a window has passed since the first listing


def test_temporary_files_are_no_leases() -> None:
    paths = ["runs/r/leases/ab-000000007.lease", "runs/r/leases/ab-000000009.lease", "runs/r/leases/.ab-1.lease.1.tmp"]
    assert counts_of(paths) == {"ab": 9}
    assert SHOWS_WITHIN_S == 0.5


class SlowFolder(LateFolder):
    """Each write takes some seconds."""

    write_s = 1.9

    def write(self, path: str, content: bytes) -> None:
        super().write(path, content)
        self._world.now_s += self.write_s


def test_a_lease_gives_nothing_when_its_last_write_started_too_long_ago() -> None:
    world = World(Random(3))
    lease = Lease(SlowFolder(world, lambda: world.now_s, 0.0), LEASES, Quota(10, 1.0), "a1", lambda: world.now_s)
    for _ in range(4):
        lease.renew()
    assert [lease.slots(seconds) for seconds in (8.2, 9.6, 9.8)] == [10, 10, 0]


def _first_slots_s(lease: Lease, world: World, until_s: float = 20.0) -> float:
    """Renew every second, and look every 10 ms; when the first slots are there, counted from now."""
    began_s = world.now_s
    while world.now_s < began_s + until_s:
        lease.renew()
        for _ in range(100):
            if lease.slots(world.now_s):
                return round(world.now_s - began_s, 2)
            world.now_s += 0.01
    return math.inf


@pytest.mark.parametrize(
    ("begins_soon", "write_s", "is_alone", "expected_s"),
    [
        (False, 0.0, True, FRESH_S + SHOWS_WITHIN_S + 1.512),  # L + D + W
        (True, 0.0, True, 2.0 + 1.512),  # F + 2 D, then with the next renewal, and W
        (True, 0.5, True, 0.5 + 1.5 + 1.512),  # the same from the end of its first write
        (True, 0.6, True, 7.0),  # too late to be a first one: 0.6 + L + D + W is 6.612, in its fifth write
        (True, 0.0, False, FRESH_S + SHOWS_WITHIN_S + 1.512),  # another was there before
    ],
)
def test_a_worker_sends_when_all_others_must_know_of_it_and_no_sooner(
    begins_soon: bool, write_s: float, is_alone: bool, expected_s: float
) -> None:
    """As a newcomer, and as one of the first."""
    world = World(Random(5))
    folder = SlowFolder(world, lambda: world.now_s, 0.0)
    folder.write_s = write_s
    if not is_alone:
        world.objects["runs/run/leases/b1-000000001.lease"] = (-1.0, math.inf)
    lease = Lease(folder, LEASES, Quota(10, 1.0), "a1", lambda: world.now_s, begins_soon=begins_soon)
    assert _first_slots_s(lease, world) == pytest.approx(expected_s, abs=0.011)


@pytest.mark.parametrize("away_s", [0.0, 0.5, 3.0, 60.0])
def test_who_comes_back_is_a_newcomer_again(away_s: float) -> None:
    """However short it was away: the others may have shared out what it had. Whom it knew by then it sees again."""
    world = World(Random(6))
    lease = Lease(LateFolder(world, lambda: world.now_s, 0.0), LEASES, Quota(10, 1.0), "a1", lambda: world.now_s)
    world.objects["runs/run/leases/b1-000000001.lease"] = (-1.0, math.inf)
    _first_slots_s(lease, world)
    lease.release()
    world.now_s += away_s
    world.objects["runs/run/leases/b1-000000001.lease"] = (-1.0, world.now_s - SHOWS_WITHIN_S)
    assert _first_slots_s(lease, world) == pytest.approx(FRESH_S + SHOWS_WITHIN_S + 1.512, abs=0.011)
    assert lease.slots(world.now_s) == 10


def test_a_lease_that_was_left_is_gone_from_the_folder_and_gives_nothing() -> None:
    world = World(Random(4))
    lease = Lease(LateFolder(world, lambda: world.now_s, 0.0), LEASES, Quota(10, 1.0), "a1", lambda: world.now_s)
    for _ in range(10):
        lease.renew()
        world.now_s += 1.0
    there = [path for path, (_, removed_s) in world.objects.items() if removed_s > world.now_s]
    slots = lease.slots(world.now_s)
    lease.release()
    left = [path for path, (_, removed_s) in world.objects.items() if removed_s > world.now_s]
    assert (there, slots) == (["runs/run/leases/a1-000000009.lease", "runs/run/leases/a1-000000010.lease"], 10)
    assert (left, lease.slots(world.now_s)) == ([], 0)
