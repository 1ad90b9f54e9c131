"""Which bundle owns a group of requests: the last that began it.

A runner that lost a bundle, or its result, gives it to another worker, and need not end what the first still does. So
a worker writes down the groups that it begins, before their first call, and then reads what other workers wrote. Where
another bundle began a group earlier, its answers are read from the journal first. Where a later one did, this bundle
is what is left of a failed attempt: it sends nothing more of the group.

Bundles are ordered by numbers, each higher than all that its worker had read (a Lamport clock); they are fencing
tokens. No clock is compared. The log is written for many groups at once: all that a bundle has taken up by then.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

from cardbeam.run_state.group_log import Entry, GroupLogs, Token

HEARTBEAT_TIMEOUT_S = 5.0
"""A bundle of a worker whose log shows no change for so long is failed: a living one sees within a second that it
lost a group, and shows a change every second until it has released it."""
_LONGEST_WAIT_S = 120.0
_FRESH_S = 3.0
"""A process that has not looked for so long was held up: it looks before it sends."""
_POLL_S = 0.2
_NOBODY = Token(0, "")


class Bundle:
    """The groups of one bundle. Threads share it."""

    def __init__(self, owners: GroupOwners) -> None:
        self._owners = owners
        self._beginning, self._lock = threading.Lock(), threading.Lock()
        self._taken_up: dict[str, None] = {}
        self._in_flight: Counter[str] = Counter()
        self.begun: set[str] = set()
        self.token: Token | None = None

    def add(self, group: str) -> Group:
        """Take a group up; it is begun with its first request."""
        self._taken_up[group] = None
        return Group(self, group)

    def acquire(self, group: str) -> bool:
        """Begin a group, and all that was taken up with it; whether a request of it may be sent.

        Raises:
            OSError: the log could not be written, or the others' not be read.
        """
        if group not in self.begun:
            with self._beginning:
                if group not in self.begun:
                    groups = list(self._taken_up)
                    self._owners.begin(self, groups)
                    self.begun.update(groups)
                    for one in groups:
                        del self._taken_up[one]
        self._change(group, 1)
        if self.has_lost(group):
            self._change(group, -1)
            return False
        return True

    def release(self, group: str) -> None:
        """A request of the group has ended."""
        self._change(group, -1)

    def has_lost(self, group: str) -> bool:
        """Whether a later bundle has begun the group too."""
        self._owners.poll_if_held_up()
        return self.is_overtaken(group)

    def is_overtaken(self, group: str) -> bool:
        """Whether it is known to have lost the group."""
        return self.token is not None and self._owners.latest(group) > self.token

    def is_quiet(self, group: str) -> bool:
        """Whether nothing of the group is in flight."""
        return not self._in_flight[group]

    def end(self) -> None:
        """Say that nothing more is sent for it."""
        self._owners.end(self)

    def _change(self, group: str, by: int) -> None:
        with self._lock:
            self._in_flight[group] += by


class Group(NamedTuple):
    """One group of a bundle."""

    bundle: Bundle
    name: str

    def acquire(self) -> bool:
        """Whether a request of it may be sent: it is the bundle's. Each that may is followed by `release`."""
        return self.bundle.acquire(self.name)

    def release(self) -> None:
        """A request has ended."""
        self.bundle.release(self.name)

    def is_superseded(self) -> bool:
        """Whether a later bundle has begun it too."""
        return self.bundle.has_lost(self.name)


class GroupOwners:
    """What a process knows of the bundles of a run. `reload` reads what other workers processed.

    Without logs it knows its own alone: there is no other process.
    """

    def __init__(
        self,
        logs: GroupLogs | None,
        worker: str,
        reload: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._logs, self._worker, self._reload = logs, worker, reload
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._latest: dict[str, Token] = {}
        self._highest = 0
        self._own: dict[Token, Entry] = {}
        self._open: dict[Token, Bundle] = {}
        self._others: dict[Token, Entry] = {}
        self._changed_s: dict[str, float] = {}
        """When the log of another worker was seen to have changed."""
        self._polled_s = clock()

    def open_bundle(self) -> Bundle:
        """A bundle that begins."""
        return Bundle(self)

    def latest(self, group: str) -> Token:
        """The last bundle that began a group, as far as is known; lower than all where there is none."""
        return self._latest.get(group, _NOBODY)

    def poll(self) -> None:
        """Read what others have begun since, and release what is lost to them.

        Raises:
            OSError: a log cannot be read or written; the next time may be in time still.
        """
        with self._lock:
            self._poll()
            self._release()

    def poll_if_held_up(self) -> None:
        """Look, where nobody did for a while: this process was frozen, or sent nothing."""
        if self._logs is not None and self._clock() - self._polled_s > _FRESH_S:
            self.poll()

    def begin(self, bundle: Bundle, groups: Iterable[str]) -> None:
        """Write down that a bundle begins groups, and know what was processed of them before.

        Raises:
            OSError: the log could not be written, or the others' not be read.
        """
        with self._lock:
            before = self._begin(bundle, groups)
        self._await(before)
        if before and self._logs is not None:
            self._reload()

    def end(self, bundle: Bundle) -> None:
        """A bundle sends nothing more."""
        token = bundle.token
        if token is None:
            return
        with self._lock:
            self._open.pop(token, None)
            self._own[token].is_finished = True
            if self._logs is not None:
                with suppress(OSError):  # who takes the groups over then waits in vain, for a while
                    self._logs.write(self._own)
                return
            for group in self._own.pop(token).groups:  # nobody else will ask for them
                if self._latest.get(group) == token:
                    del self._latest[group]

    def _begin(self, bundle: Bundle, groups: Iterable[str]) -> list[tuple[Token, str]]:
        """The earlier bundles that began one of the groups, with the group."""
        if bundle.token is None:
            self._poll()
            self._highest += 1
            bundle.token = Token(self._highest, self._worker)
            self._own[bundle.token], self._open[bundle.token] = Entry(), bundle
        self._own[bundle.token].groups.update(groups)
        if self._logs is not None:
            self._logs.write(self._own)
            self._poll()
        before = [(token, group) for group in groups if _NOBODY < (token := self.latest(group)) < bundle.token]
        for group in groups:
            self._latest[group] = max(self.latest(group), bundle.token)
        return before

    def _await(self, before: list[tuple[Token, str]]) -> None:
        """Wait until earlier bundles have released the groups, or seem to have crashed."""
        began_s = self._clock()
        left = [one for one in before if not self._is_released(*one)]
        while left and self._clock() - began_s < _LONGEST_WAIT_S:
            self._sleep(_POLL_S)
            self.poll()
            left = [one for one in left if not self._is_released(*one)]
            for token in {token for token, _ in left}:
                if self._clock() - max(began_s, self._changed_s.get(token.worker, began_s)) >= HEARTBEAT_TIMEOUT_S:
                    self._give_up(token)

    def _is_released(self, token: Token, group: str) -> bool:
        if token.worker == self._worker:
            return token not in self._open or self._open[token].is_quiet(group)
        entry = self._others.get(token)
        return entry is None or entry.is_finished or group in entry.released

    def _give_up(self, token: Token) -> None:
        """Take a bundle for crashed, so that nobody waits for it again."""
        with self._lock:
            if token in self._others:
                self._others[token].is_finished = True
            self._open.pop(token, None)

    def _poll(self) -> None:
        now_s = self._clock()
        for worker, entries in self._logs.read() if self._logs is not None else ():
            self._changed_s[worker] = now_s
            for token, entry in entries.items():
                entry.is_finished |= token in self._others and self._others[token].is_finished
                self._others[token] = entry
                self._highest = max(self._highest, token.number)
                for group in entry.groups:
                    self._latest[group] = max(self.latest(group), token)
        self._polled_s = now_s

    def _release(self) -> None:
        """Tell the new owners of groups which of them this process sends nothing more of."""
        if self._logs is None:
            return
        is_changed = False
        for token, bundle in self._open.items():
            entry = self._own[token]
            lost = {group for group in entry.groups - entry.released if bundle.is_overtaken(group)}
            entry.released |= {group for group in lost if bundle.is_quiet(group)}
            is_changed |= bool(lost)
        if is_changed:
            self._logs.write(self._own, is_sign_of_life=True)
