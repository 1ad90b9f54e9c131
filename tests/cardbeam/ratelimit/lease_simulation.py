"""Workers that join, leave, pause and die around one folder, in made-up time: when each gave its permissions.

Every worker has a clock of its own with an own zero. A pause can fall between a worker's write and its
listing as well as between any two of its steps; an object shows in listings late, for each lister again.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from cardbeam.ratelimit.lease import RENEW_S, Lease
from cardbeam.ratelimit.throttle import Grant, Quota, Throttle
from cardbeam.storage.folder import StoredFile

SHOWS_WITHIN_S = 0.5


@dataclass
class World:
    """Time, objects with when they were put, and what happens next."""

    random: Random
    now_s: float = 0.0
    objects: dict[str, tuple[float, float]] = field(default_factory=dict)
    steps: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    permissions: list[tuple[float, str]] = field(default_factory=list)
    _number: int = 0

    def at(self, when_s: float, step: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self.steps, (max(when_s, self.now_s), self._number, step))

    def run(self, until_s: float) -> None:
        while self.steps and self.steps[0][0] <= until_s:
            self.now_s, _, step = heapq.heappop(self.steps)
            step()


class LateFolder:
    """A folder of one worker: what is put shows within `SHOWS_WITHIN_S`, what is removed goes as late.

    Where there are faults, the store takes nothing, or lists nothing, for a while.
    """

    def __init__(self, world: World, clock: Callable[[], float], fault_chance: float) -> None:
        self._world, self._clock, self._fault_chance = world, clock, fault_chance
        self._well_from_s = {"write": 0.0, "list": 0.0}

    def _fail_at_times(self, deed: str) -> None:
        now_s, random = self._clock(), self._world.random
        if now_s >= self._well_from_s[deed] and random.random() < self._fault_chance:
            self._well_from_s[deed] = now_s + random.uniform(0, 12)
        if now_s < self._well_from_s[deed]:
            raise OSError(deed)

    def write(self, path: str, content: bytes) -> None:
        if self._world.random.random() < 0.5:  # a write that fails may show or not
            self._fail_at_times("write")
        self._world.objects[path] = (self._clock(), float("inf"))
        self._fail_at_times("write")

    def list(self, prefix: str) -> Iterator[StoredFile]:
        self._fail_at_times("list")
        self._world.run(self._clock())  # a worker that paused before it lists sees what the others did meanwhile
        for path, (put_s, removed_s) in sorted(self._world.objects.items()):
            late_s = self._world.random.uniform(0, SHOWS_WITHIN_S)
            if put_s + late_s <= self._clock() < removed_s + late_s:
                yield StoredFile(path, 0)

    def delete(self, paths: Iterable[str]) -> None:
        for path in self._world.objects.keys() & set(paths):
            self._world.objects[path] = (self._world.objects[path][0], self._clock())


class Worker:
    """One worker: renews, sends whenever it may, pauses at random."""

    def __init__(self, world: World, number: int, quota: Quota, rate_per_s: float, pause_chance: float) -> None:
        self.world, self.name = world, f"{world.random.getrandbits(64):016x}"
        self._zero_s = world.random.uniform(-1e6, 1e6)
        self._pause_chance, self._busy_until_s, self._sent_s = pause_chance, 0.0, -math.inf
        self.is_alive = self.is_sending = True
        folder = LateFolder(world, self._true_s, pause_chance)
        self.lease = Lease(folder, "runs/run/leases", quota, self.name, self._clock, begins_soon=True, clears_lost=True)
        self.throttle = Throttle(rate_per_s, self._clock, shares=self.lease)
        world.at(world.now_s, self._renew)
        world.at(world.now_s, self._send)

    def _true_s(self) -> float:
        return max(self.world.now_s, self._busy_until_s)

    def _clock(self) -> float:
        if self.world.random.random() < self._pause_chance:
            self._busy_until_s = self._true_s() + self.world.random.choice([4.5, 15]) * self.world.random.random()
        return self._true_s() + self._zero_s

    def kill(self) -> None:
        self.is_alive = False

    def release(self) -> None:
        self.is_sending = False

    def _renew(self) -> None:
        if not self.is_alive or self._waits_for(self._renew):
            return
        if not self.is_sending and self._true_s() >= self._sent_s + self.lease.quiet_s:
            self.lease.release()
            return
        with suppress(OSError):
            self.lease.renew()
        self.world.at(self._true_s() + RENEW_S * self.world.random.uniform(0.9, 1.3), self._renew)

    def _send(self) -> None:
        if not (self.is_alive and self.is_sending) or self._waits_for(self._send):
            return
        permit = Grant()
        delay_s = self.throttle.try_at(self._true_s() + self._zero_s, permit)
        if delay_s <= 0:
            self._sent_s = self._true_s()
            permit.left_s = self._sent_s + self._zero_s
            self.world.permissions.append((self.world.now_s, self.name))
        self.world.at(self._true_s() + max(delay_s, 1e-4), self._send)

    def _waits_for(self, step: Callable[[], None]) -> bool:
        """A paused worker does it when it wakes up."""
        if self._busy_until_s > self.world.now_s:
            self.world.at(self._busy_until_s, step)
            return True
        return False


def most_in_a_window(times_s: list[float], window_s: float) -> int:
    """The most of these times that lie within any half-open window of that length."""
    times_s, start, most = sorted(times_s), 0, 0
    for end, time_s in enumerate(times_s):
        while times_s[start] <= time_s - window_s:
            start += 1
        most = max(most, end - start + 1)
    return most
