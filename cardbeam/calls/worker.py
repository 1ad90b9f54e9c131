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

from cardbeam.calls.bounded_executor import Held, InFlight, InFlightLimit
from cardbeam.calls.duplicates import InFlightDuplicates
from cardbeam.calls.group_owners import Bundle, Group, GroupOwners
from cardbeam.calls.process_request import RequestProcessor
from cardbeam.calls.sender import Sender
from cardbeam.calls.worker_liveness import Liveness
from cardbeam.config.prices import affordable_calls
from cardbeam.config.settings import Settings
from cardbeam.config.time_window import is_closed
from cardbeam.http.card_client import CardClient, Credentials
from cardbeam.http.retry import RetryPolicy
from cardbeam.index.processed_index import ProcessedIndex
from cardbeam.journal.open import open_journal
from cardbeam.journal.writer import Journal
from cardbeam.model.request import Request
from cardbeam.model.result import RequestOutcome, RequestResult
from cardbeam.ratelimit.background_tasks import IDLE_TIMEOUT_S, BackgroundTasks
from cardbeam.ratelimit.budgets import call_budget as budget
from cardbeam.ratelimit.budgets.allowance import Allowance
from cardbeam.ratelimit.budgets.cost_budget import CostBudget
from cardbeam.ratelimit.concurrency import MAX_LIMIT, ConcurrencyLimit
from cardbeam.ratelimit.envoy import OpenLimiter
from cardbeam.ratelimit.lease import RENEW_S
from cardbeam.ratelimit.shared_hold import SharedHold
from cardbeam.run_state.group_log import GroupLogs
from cardbeam.run_state.layout import run_file
from cardbeam.run_state.liveness.heartbeat import read_watch_heartbeat
from cardbeam.run_state.liveness.job_attempt import JobAttempt
from cardbeam.run_state.stop_signal import StopSignal, suspects
from cardbeam.storage.folder import Folder

_MAX_ELAPSED_S = 600.0
_IDLE_TIMEOUT_WATCHING_S = 60.0
RESULT_BATCH = 4
"""Results that a bundle waits for at a time."""
_QUEUED = 2 * RESULT_BATCH
"""Requests that wait for a thread, so that one that has ended goes on with the next instead of falling asleep."""
_PREFETCH_S, _MAX_PREFETCH = 10.0, 2000
"""What a bundle holds beside those on a cluster, in seconds of this worker's share and in requests, a kB each. With it
a worker calls on while the runner starts a job again that lost another worker; so much later a cancelled job ends."""
_IDLE_S, _IDLE_BESIDE_OTHERS_S = 1.0, 15.0
"""So long after the last request of a process it is taken that no other comes; beside other workers, one of them may be
answered meanwhile."""
ANSWERED_FILE = "succeeded"
"""In a run's folder, once the endpoint answered any of its workers."""
_UNKNOWN_SIZE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Session:
    """One launch of a run: its id, and whether all of its calls are made in one process."""

    session_id: str
    is_alone: bool
    watches: bool = False
    """Whether more requests may come at any time."""


def prefetch_slots(calls: int) -> int:
    """Requests beside those that call: they read the next images and keep the last answers; no line is idle.

    What a kill may have paid for in vain is in flight or with one of these, on its way to the disk.
    """
    return max(RESULT_BATCH, calls // 4)


class Worker:
    """One for each process, used by all its bundles and threads."""

    def __init__(
        self,
        settings: Settings,
        session: Session,
        index: ProcessedIndex,
        credentials: Credentials,
        reload: Callable[[], None] = lambda: None,
        *,
        open_limiter: OpenLimiter | None = None,
    ) -> None:
        """`reload` has `index` know what other workers processed since; `open_limiter` opens a client of a rate
        service."""
        folder, run_id = settings.output.folder(), settings.output.run_id
        endpoint, rate = settings.endpoint, settings.rate
        stop = StopSignal(folder, run_id)
        life = Liveness(folder, run_id, rate, stop, is_alone=session.is_alone, begins_soon=session.watches)
        throttle = life.throttle(rate, open_limiter)
        self._attempts = JobAttempt(folder, run_id)
        has_others = not session.is_alone and not session.watches
        name = uuid.uuid4().hex
        self._owners = GroupOwners(GroupLogs(folder, run_id, name) if has_others else None, name, reload)
        hold = SharedHold(folder, run_id, throttle, is_shared=not session.is_alone)
        polls = [stop.poll] if session.is_alone else [stop.poll, self._attempts.poll, self._owners.poll, hold.poll]
        idle_s = idle_timeout(folder, run_id, session, stop, life.quiet_s)
        allowance = _allowance(folder, settings, session)

        def release() -> None:
            try:
                life.release()
            finally:
                allowance.give_back()

        self._background = BackgroundTasks([*life.tasks, *polls], release, RENEW_S, idle_s)
        self._limit = ConcurrencyLimit(throttle.rate_per_s, throttle.backoff_factor)
        max_in_flight = rate.max_in_flight or MAX_LIMIT
        calls: Callable[[], int] = (lambda: max_in_flight) if rate.max_in_flight else self._limit.limit
        self.limit = InFlightLimit(lambda: calls() + prefetch_slots(calls()) + _QUEUED)
        self.executor = ThreadPoolExecutor(max_in_flight + prefetch_slots(max_in_flight), thread_name_prefix="call")
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
            allowance=allowance,
            calls=calls,
            check=self.journal.check,
            pauses=session.watches,
            suspects=suspects(folder, run_id),
            hold=hold,
            **({} if session.is_alone else _others(folder, run_id)),
        )
        self._sender = sender
        self._idle_s = _IDLE_S if session.is_alone or session.watches else _IDLE_BESIDE_OTHERS_S
        self._processor = RequestProcessor(
            index,
            sender,
            self.journal,
            transfer_by_url=endpoint.transfer == "url",
            dedupe_by_source=settings.input.dedupe == "source",
            watches=session.watches,
            as_jpegs=settings.replay is not None and settings.replay.transcode == "jpeg",
        )
        self._reads = endpoint.transfer != "url"
        self._throttle, self._prefetches = throttle, has_others

    def open_bundle(self) -> tuple[InFlight[Any], Bundle]:
        """What is in flight of a bundle that begins, and the groups that it owns."""
        return InFlight(
            self.executor, self.limit, RESULT_BATCH, self._prefetch, self._when_held
        ), self._owners.open_bundle()

    def _when_held(self) -> None:
        """A bundle waits for held requests alone. Where nothing is in flight in the process, nothing decides them."""
        if self.limit.idle_s() >= self._idle_s:
            self._sender.nothing_more()

    def _prefetch(self) -> int:
        return int(min(_MAX_PREFETCH, _PREFETCH_S * self._throttle.rate_per_s())) if self._prefetches else 0

    def process(
        self, request: Request, duplicates: InFlightDuplicates, group: Group, attempt: str = ""
    ) -> RequestResult | Held[RequestResult]:
        """The whole way of one request, and what its length teaches; none where another bundle or launch makes it."""
        if self._attempts.is_superseded(attempt):
            return RequestResult(RequestOutcome.DEFERRED)
        with self._background:
            if not group.acquire():
                return RequestResult(RequestOutcome.DEFERRED)
            return _left(group, lambda: self._process(request, duplicates, group))

    def _process(
        self, request: Request, duplicates: InFlightDuplicates, group: Group
    ) -> RequestResult | Held[RequestResult]:
        started_s = time.monotonic()
        result = self._processor.process(request, duplicates, group.is_superseded)
        if isinstance(result, RequestResult) and result.latency_s is not None:
            self._limit.learn(time.monotonic() - started_s - result.waited_s - result.queued_s)
        return result

    def rate_per_s(self) -> float:
        """This worker's share of the rate now."""
        return self._throttle.rate_per_s()

    def size_bytes(self, request: Request) -> int:
        """About how much memory a request takes while it is in flight: its images, and the body made of them."""
        if not self._reads:
            return 0
        sizes = [image.size_bytes for image in request.images]
        return 2 * sum(_UNKNOWN_SIZE_BYTES if size is None else size for size in sizes)


def _left(group: Group, work: Callable[[], RequestResult | Held[RequestResult]]) -> RequestResult | Held[RequestResult]:
    """Do the work of a request, and have its group know when it has ended."""
    is_held = False
    try:
        result = work()
        if isinstance(result, Held):
            is_held = True
            return Held(result.decided, lambda: _finished(group, result.finish))
        return result
    finally:
        if not is_held:
            group.release()


def _finished(group: Group, finish: Callable[[], RequestResult]) -> RequestResult:
    try:
        return finish()
    finally:
        group.release()


def idle_timeout(
    folder: Folder, run_id: str, session: Session, stop: StopSignal, min_s: float = 0.0
) -> Callable[[], float]:
    """How long a worker without a request keeps its share of the rate: longer where more come every few seconds."""

    def idle_timeout_s() -> float:
        if stop.is_set:
            return 0.0
        if not session.watches:
            return IDLE_TIMEOUT_S
        with suppress(OSError):
            control = read_watch_heartbeat(folder, run_id)
            return IDLE_TIMEOUT_S if control is None or control.is_ending else _IDLE_TIMEOUT_WATCHING_S
        return IDLE_TIMEOUT_S

    return lambda: max(min_s, idle_timeout_s())


def _allowance(folder: Folder, settings: Settings, session: Session) -> Allowance:
    """What bounds the calls of this process; a budget is shared with other workers."""

    def budget_of(calls: int, name: str) -> budget.Budget:
        if session.is_alone:
            return budget.of_one(calls)
        return budget.shared(folder, settings.output.run_id, name, calls, lambda: uuid.uuid4().hex)

    rate = settings.rate
    calls = budget_of(rate.max_calls, session.session_id) if rate.max_calls else None
    cost = None
    if rate.max_cost:
        affordable = affordable_calls(rate.max_cost, rate.price_per_call)
        cost = CostBudget(budget_of(affordable, f"{session.session_id}-cost"))
    return Allowance(calls, cost, is_closed(rate.until, settings.endpoint.timeout_s, time.time))


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
