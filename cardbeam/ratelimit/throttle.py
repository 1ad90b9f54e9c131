"""The quota as a wall: permissions to send, evenly spaced, never too many in any window.

A rate of R a second is a quota of Q = ceil(R) permissions in any window of Q/R seconds (one
second, where R is whole). A process that holds `slots` of them gives no more than that many in
any such window, by a log of when it gave the last ones; so all processes together keep the
quota wherever their slots never add up to more than Q (see `leases`).

A permission counts from when the head of its request has left the process: as long as it has not,
it stands in every window. So a process that is held up between a permission and its socket, by a
loaded machine say, breaks no window, and what is left to differ is the way from the socket to the
endpoint: windows are made `_GUARD` longer, so that this way may take 12 ms more for one request than
for the one a second later. At most 2 % of the rate may be given up: these 12 ms of a second, and 8
for wake-ups that come late. Those are made up for, `_CATCH_UP_S` at the most: the one burst there is,
and within the window's bound. A quota that nobody asked for is not made up for.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

_GUARD = 0.012
"""Windows are this much longer than the quota says: 12 ms in a second."""
_PACE = 0.013
"""The schedule is this much slower than the quota; above the guard, so that it seldom waits for the log."""
_CATCH_UP_S = 0.1
_LOOK_SOON_S = 0.001
_LOOK_S = 0.1
"""How often a wait checks what may end it or change its length."""
_DECREASE, _MIN_FACTOR, _RECOVERY_S = 0.9, 1 / 32, 30.0
"""The pace after the endpoint said that it was too fast, times this for each second with such a word; and the seconds
from nothing to the full pace."""


@dataclass(frozen=True, slots=True)
class Quota:
    """`slots` permissions in any window of `window_s` seconds."""

    slots: int
    window_s: float

    @classmethod
    def of(cls, rate_per_s: float) -> Quota:
        """The strictest whole quota of a rate above 0."""
        slots = math.ceil(rate_per_s)
        return cls(slots, slots / rate_per_s)

    @property
    def guarded_s(self) -> float:
        """The length of a window as it is kept here."""
        return self.window_s * (1 + _GUARD)


class QuotaShare(Protocol):
    """How much of the quota this process holds."""

    def slots(self, now_s: float) -> int:
        """Slots that may be used now; 0 where none may."""


@dataclass(frozen=True, slots=True)
class FullQuota:
    """All of a quota, for a process that is alone by construction."""

    quota: Quota

    def slots(self, now_s: float) -> int:
        """Always all."""
        return self.quota.slots


@dataclass(slots=True)
class Grant:
    """One permission: in all windows until its request leaves, then in those that hold that moment."""

    left_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Wait:
    """How long a caller waited for its permission, and for how much of that nobody else was before it.

    The second adds up, over all callers, to the time in which the quota held the process back.
    """

    total_s: float = 0.0
    at_head_s: float = 0.0
    release: Callable[[], None] = field(default=lambda: None, compare=False)
    """To be called when the request has left, or never will."""


class Throttle:
    """Permissions at a rate per second, shared by all threads of a process; 0 is no limit.

    `ask` is called for each permission, by one thread at a time, and returns when it may be given.
    """

    def __init__(
        self,
        rate_per_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        shares: QuotaShare | None = None,
        ask: Callable[[], None] = lambda: None,
    ) -> None:
        self._quota = Quota.of(rate_per_s) if rate_per_s else None
        self._shares = shares or (FullQuota(self._quota) if self._quota else None)
        self._clock, self._sleep, self._ask = clock, sleep, ask
        self._turn = threading.Lock()
        self._granted: deque[Grant] = deque(maxlen=self._quota.slots if self._quota else 1)
        self._due_s = self._held_until_s = -math.inf
        self._slowed_at_s, self._slowed_to = -math.inf, 1.0

    def wait(self, should_stop: Callable[[], bool] = lambda: False) -> Wait:
        """Block until this caller may send, or until `should_stop` says that nothing more may be."""
        came_s = self._clock()
        permit = Grant()
        with self._turn:
            head_s = now_s = self._clock()
            while not should_stop():
                if (delay_s := self.try_at(now_s, permit, came_s)) <= 0:
                    self._ask_for(permit)
                    now_s = self._clock()
                    break
                self._sleep(min(delay_s, _LOOK_S))
                now_s = self._clock()
        return Wait(now_s - came_s, now_s - head_s, lambda: self._release(permit))

    def _ask_for(self, permit: Grant) -> None:
        try:
            self._ask()
        except BaseException:  # a rate service that cannot be asked raises what it likes
            self._release(permit)  # else it would stand in every window from now on
            raise

    def _release(self, permit: Grant) -> None:
        permit.left_s = min(permit.left_s, self._clock())

    def slow_down(self, seconds: float) -> None:
        """Give nothing for a while, then less, then slowly more: the endpoint said that it is too fast."""
        now_s = self._clock()
        self._held_until_s = max(self._held_until_s, now_s + seconds)
        if now_s - self._slowed_at_s > 1.0:  # what comes within a second is about the same overload
            self._slowed_to = max(_MIN_FACTOR, self._backoff_factor(now_s) * _DECREASE)
            self._slowed_at_s = now_s

    def hold(self, seconds: float) -> None:
        """Give nothing for a while: the endpoint said that its quota is used up."""
        self._held_until_s = max(self._held_until_s, self._clock() + seconds)

    def rate_per_s(self) -> float:
        """What may be sent now, in this process; infinite where there is no limit."""
        if self._quota is None or self._shares is None:
            return math.inf
        slots = max(1, self._shares.slots(self._clock()))
        return slots / self._quota.window_s * self.backoff_factor()

    def backoff_factor(self) -> float:
        """The part of the rate that is used, up to 1: less after the endpoint said that it was too fast."""
        return self._backoff_factor(self._clock())

    def try_at(self, now_s: float, permit: Grant, came_s: float = -math.inf) -> float:
        """Give the permission to who came then, if there is one now; else about how many seconds there is none."""
        if self._quota is None or self._shares is None:
            return self._held_until_s - now_s
        slots = self._shares.slots(now_s)
        if slots <= 0:
            return _LOOK_S
        interval_s = self._quota.window_s * (1 + _PACE) / slots / self._backoff_factor(now_s)
        delay_s = max(self._held_until_s, self._due_s + interval_s) - now_s
        if len(self._granted) >= slots:
            window_s = self._granted[-slots].left_s + self._quota.guarded_s - now_s
            delay_s = max(delay_s, _LOOK_SOON_S if math.isinf(window_s) else window_s)
        if delay_s <= 0:
            self._granted.append(permit)
            self._due_s = max(self._due_s + interval_s, now_s - _CATCH_UP_S, came_s)
        return delay_s

    def _backoff_factor(self, now_s: float) -> float:
        return min(1.0, self._slowed_to + max(0.0, now_s - self._slowed_at_s) / _RECOVERY_S)
