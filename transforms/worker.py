"""What the calls of one process share: threads, session, throttle, lease, journal, index of what is answered."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
    PipelineOptions,
    PortableOptions,
    StandardOptions,
)

from transforms import budget
from transforms.answered import Answered
from transforms.attempt import LastAttempt
from transforms.card_client import CardClient, Credentials
from transforms.claims import Claims
from transforms.elements import Ending, Fate, Request
from transforms.group_log import GroupLogs
from transforms.group_owners import Bundle, Group, GroupOwners
from transforms.in_flight import Held, InFlight, Places
from transforms.journal import Journal, open_journal
from transforms.layout import run_file
from transforms.leases import RENEW_S
from transforms.limit import MOST, Limit
from transforms.presence import LINGER_S, Presence
from transforms.retry import RetryPolicy
from transforms.send import Sender
from transforms.settings import RateSettings, Settings
from transforms.settle import Settler
from transforms.stop import StopSwitch, suspects
from transforms.storage import Folder, open_folder
from transforms.watch_control import read_control
from transforms.worker_liveness import Liveness

_MAX_ELAPSED_S = 600.0
_LINGER_WATCHING_S = 60.0
_IN_PROCESS_RUNNERS = frozenset({"FnApiRunner", "BundleBasedDirectRunner"})
_LOOPBACK, _LOOPBACK_RUNNERS = "LOOPBACK", frozenset({"PrismRunner"})
"""Where a portable runner has its workers in the launching process, and who does so unless told otherwise."""
TOGETHER = 4
"""Endings that a bundle waits for at a time."""
_QUEUED = 2 * TOGETHER
"""Requests that wait for a thread, so that one that has ended goes on with the next instead of falling asleep."""
_AHEAD_S, _MOST_AHEAD = 10.0, 2000
"""What a bundle holds beside those on a cluster, in seconds of this worker's share and in requests, a kB each. With it
a worker calls on while the runner starts a job again that lost another worker; so much later a cancelled job ends."""
_IDLE_S, _IDLE_BESIDE_OTHERS_S = 1.0, 15.0
"""So long after the last request of a process it is taken that no other comes; beside other workers, one of them may be
answered meanwhile."""
ANSWERED_FILE = "answered"
"""In a run's folder, once the endpoint answered any of its workers."""
_UNKNOWN_SIZE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Session:
    """One launch of a run: its id, and whether all of its calls are made in one process."""

    session_id: str
    is_alone: bool
    watches: bool = False
    """Whether more requests may come at any time."""

    @classmethod
    def of(cls, options: PipelineOptions) -> Session:
        """A session that begins with these options of the runner."""
        return cls(uuid.uuid4().hex, is_one_process(options), bool(options.view_as(StandardOptions).streaming))


def is_one_process(options: PipelineOptions) -> bool:
    """Whether these options of a runner have all calls made in the process that launches it."""
    runner = (options.view_as(StandardOptions).runner or "").rpartition(".")[2]
    if runner in _IN_PROCESS_RUNNERS:
        return bool(options.view_as(DirectOptions).direct_running_mode != "multi_processing")
    where = options.view_as(PortableOptions).environment_type or (_LOOPBACK if runner in _LOOPBACK_RUNNERS else "")
    return where == _LOOPBACK and not options.view_as(DebugOptions).lookup_experiment("use_loopback_process_worker")


def spare(calls: int) -> int:
    """Requests beside those that call: they read the next pictures and keep the last answers; no line is idle.

    What a kill may have paid for in vain is in flight or with one of these, on its way to the disk.
    """
    return max(TOGETHER, calls // 4)


class Worker:
    """One for each process, used by all its bundles and threads."""

    def __init__(
        self,
        settings: Settings,
        session: Session,
        answered: Answered,
        credentials: Credentials,
        reload: Callable[[], None] = lambda: None,
    ) -> None:
        """`reload` has `answered` know what other workers processed since."""
        folder, run_id = open_folder(settings.output.output), settings.output.run_id
        endpoint, rate = settings.endpoint, settings.rate
        stop = StopSwitch(folder, run_id)
        life = Liveness(folder, run_id, rate, stop, is_alone=session.is_alone, begins_soon=session.watches)
        throttle = life.throttle(rate)
        self._attempts = LastAttempt(folder, run_id)
        has_others = not session.is_alone and not session.watches
        name = uuid.uuid4().hex
        self._owners = GroupOwners(GroupLogs(folder, run_id, name) if has_others else None, name, reload)
        looks = [stop.look] if session.is_alone else [stop.look, self._attempts.look, self._owners.look]
        idle_s = linger(folder, run_id, session, stop, life.quiet_s)
        self._presence = Presence([*life.beats, *looks], life.leave, RENEW_S, idle_s)
        self._limit = Limit(throttle.rate_per_s, throttle.pace)
        most = rate.max_in_flight or MOST
        calls: Callable[[], int] = (lambda: most) if rate.max_in_flight else self._limit.most
        self.places = Places(lambda: calls() + spare(calls()) + _QUEUED)
        self.executor = ThreadPoolExecutor(most + spare(most), thread_name_prefix="call")
        self.journal: Journal = open_journal(folder, run_id, settings.output.journal_flush_s)
        client = CardClient(
            endpoint.endpoint_url,
            credentials,
            transfer=endpoint.transfer,
            get_thumb=endpoint.get_thumb,
            timeout_s=endpoint.timeout_s,
        )
        sender = Sender(
            client,
            throttle,
            stop,
            RetryPolicy(endpoint.max_attempts, _MAX_ELAPSED_S),
            jitter=random.random,
            sleep=stop.wait,
            budget=_budget(folder, run_id, rate, session),
            calls=calls,
            check=self.journal.check,
            pauses=session.watches,
            suspects=suspects(folder, run_id),
            **({} if session.is_alone else _others(folder, run_id)),
        )
        self._sender = sender
        self._idle_s = _IDLE_S if session.is_alone or session.watches else _IDLE_BESIDE_OTHERS_S
        self._settler = Settler(
            answered,
            sender,
            self.journal,
            sends_urls=endpoint.transfer == "url",
            knows_by_source=settings.input.dedupe == "source",
            watches=session.watches,
        )
        self._reads = endpoint.transfer != "url"
        self._throttle, self._looks_ahead = throttle, has_others

    def open_bundle(self) -> tuple[InFlight[Any], Bundle]:
        """What is in flight of a bundle that begins, and the groups that it owns."""
        return InFlight(self.executor, self.places, TOGETHER, self._ahead, self._when_held), self._owners.open_bundle()

    def _when_held(self) -> None:
        """A bundle waits for held requests alone. Where nothing is in flight in the process, nothing decides them."""
        if self.places.idle_s() >= self._idle_s:
            self._sender.nothing_more()

    def _ahead(self) -> int:
        return int(min(_MOST_AHEAD, _AHEAD_S * self._throttle.rate_per_s())) if self._looks_ahead else 0

    def settle(self, request: Request, claims: Claims, group: Group, attempt: str = "") -> Ending | Held[Ending]:
        """The whole way of one request, and what its length teaches; none where another bundle or launch makes it."""
        if self._attempts.is_over(attempt):
            return Ending(Fate.DEFERRED)
        with self._presence:
            if not group.enter():
                return Ending(Fate.DEFERRED)
            return _left(group, lambda: self._settle(request, claims, group))

    def _settle(self, request: Request, claims: Claims, group: Group) -> Ending | Held[Ending]:
        started_s = time.monotonic()
        ending = self._settler.settle(request, claims, group.is_lost)
        if isinstance(ending, Ending) and ending.latency_s is not None:
            self._limit.learn(time.monotonic() - started_s - ending.waited_s - ending.queued_s)
        return ending

    def size_bytes(self, request: Request) -> int:
        """About how much memory a request takes while it is under way: its pictures, and the body made of them."""
        if not self._reads:
            return 0
        sizes = [picture.size_bytes for picture in request.pictures]
        return 2 * sum(_UNKNOWN_SIZE_BYTES if size is None else size for size in sizes)


def _left(group: Group, work: Callable[[], Ending | Held[Ending]]) -> Ending | Held[Ending]:
    """Do the work of a request, and have its group know when it has ended."""
    is_held = False
    try:
        ending = work()
        if isinstance(ending, Held):
            is_held = True
            return Held(ending.decided, lambda: _finished(group, ending.finish))
        return ending
    finally:
        if not is_held:
            group.leave()


def _finished(group: Group, finish: Callable[[], Ending]) -> Ending:
    try:
        return finish()
    finally:
        group.leave()


def linger(
    folder: Folder, run_id: str, session: Session, stop: StopSwitch, least_s: float = 0.0
) -> Callable[[], float]:
    """How long a worker without a request keeps its share of the rate: longer where more come every few seconds."""

    def linger_s() -> float:
        if stop.is_pulled:
            return 0.0
        if not session.watches:
            return LINGER_S
        with suppress(OSError):
            control = read_control(folder, run_id)
            return LINGER_S if control is None or control.is_ending else _LINGER_WATCHING_S
        return LINGER_S

    return lambda: max(least_s, linger_s())


def _budget(folder: Folder, run_id: str, rate: RateSettings, session: Session) -> budget.Budget:
    if not rate.max_calls:
        return budget.endless()
    if session.is_alone:
        return budget.of_one(rate.max_calls)
    return budget.shared(folder, run_id, session.session_id, rate.max_calls, lambda: uuid.uuid4().hex)


def _others(folder: Folder, run_id: str) -> dict[str, Callable[[], Any]]:
    """How the workers of a run tell each other that the endpoint answers."""
    path = run_file(run_id, ANSWERED_FILE)

    def first_answered() -> None:
        with suppress(OSError):  # the next worker tells it, or each is on its own
            folder.create(path, b"")

    def others_answered() -> bool:
        with suppress(OSError):
            return any(folder.list(path))
        return False

    return {"first_answered": first_answered, "others_answered": others_answered}
