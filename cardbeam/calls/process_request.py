"""Request -> Ending: one image's way from its URI to a durable answer.

Known by source? -> read and look -> known by content? -> call -> journal. Each step can
end it; nothing is paid for that is known, and nothing is known that is not in the journal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from cardbeam.calls.access_check import Access
from cardbeam.calls.bounded_executor import Held
from cardbeam.calls.duplicates import Claim, Claims
from cardbeam.calls.load_request import Opened, is_refused, open_request
from cardbeam.calls.sender import Delivery, Sender, Verdict
from cardbeam.http.body import Sent
from cardbeam.index.failures import FINAL_AFTER_RUNS
from cardbeam.index.processed_index import Answered
from cardbeam.index.status import Standing
from cardbeam.inputs.image_source import StorageRefused
from cardbeam.journal.writer import Journal
from cardbeam.model.record import LEFT, Settled, SettledAs
from cardbeam.model.request import Request, item_id_of
from cardbeam.model.result import Ending, Fate
from cardbeam.run_state.stop_signal import STORAGE_REFUSED
from schemas.outcomes import OUTCOMES, Action, Outcome, outcome_of_code

_FATE_OF_STANDING = {
    Standing.ANSWERED_HERE: Fate.ANSWERED,
    Standing.DEAD_HERE: Fate.DEAD,
    Standing.ANSWERED_BEFORE: Fate.ANSWERED_BEFORE,
    Standing.DEAD_BEFORE: Fate.ANSWERED_BEFORE,
}

_FATE_OF_RECORD = {
    SettledAs.ANSWERED: Fate.ANSWERED,
    SettledAs.DEAD: Fate.DEAD,
    SettledAs.RETRY: Fate.DEFERRED,
    SettledAs.DEFERRED: Fate.DEFERRED,
}

_CANNOT_FETCH = OUTCOMES["error_2"].code


@dataclass(frozen=True, slots=True)
class _Called:
    """A request that was sent, or could not be, without what was sent of it."""

    request: Request
    item_id: str
    delivery: Delivery
    size_bytes: int
    taken_up_at: int


@dataclass(frozen=True, slots=True)
class Settler:
    """What settling takes; one for each process, used by all its threads.

    A run that `watches` records whatever it defers, so that the watch gives it out again.
    """

    answered: Answered
    sender: Sender
    journal: Journal
    sends_urls: bool = False
    knows_by_source: bool = False
    access: Access = field(default_factory=Access)
    now_s: Callable[[], float] = time.time
    watches: bool = False

    def settle(
        self, request: Request, claims: Claims, is_lost: Callable[[], bool] = lambda: False
    ) -> Ending | Held[Ending]:
        """The whole way of one request, unless it `is_lost` to another bundle.

        `claims` are those of all requests that may be its duplicates.
        It is held where other requests decide whose failure it is, or where it is a duplicate of one that is held.
        """
        taken_up_at = self._now_us()
        standing, item_id = self.answered.of_source(request.source_id)
        opened = Opened(request)
        if standing is Standing.NEW:
            if self.sender.is_stopped:
                return Ending(Fate.DEFERRED)
            try:
                opened = open_request(request, self.access, by_url=self.sends_urls)
            except StorageRefused:
                self.sender.stop(STORAGE_REFUSED)
                return Ending(Fate.DEFERRED)
            request = opened.request
            item_id = self._item_id(request, opened)
            standing = self.answered.of_item(item_id)
        is_first, claim = claims.take(item_id)
        if is_first:
            go_first = partial(self._go_first, request, item_id, standing, opened, taken_up_at, is_lost=is_lost)
            return _claimed(claim, go_first)
        fate = claim.wait()
        if isinstance(fate, Future):
            return Held(fate, lambda: self._follow(request, item_id, claim, taken_up_at))
        return self._follow(request, item_id, claim, taken_up_at)

    def _go_first(
        self,
        request: Request,
        item_id: str,
        standing: Standing,
        opened: Opened,
        taken_up_at: int,
        *,
        is_lost: Callable[[], bool],
    ) -> Ending | Held[Ending]:
        if standing is not Standing.NEW:
            self._keep_duplicate(request, item_id, taken_up_at)
            return Ending(_FATE_OF_STANDING[standing])
        if opened.refused is not None:
            may_retry = request.may_retry and opened.refused.retriable
            settled_as = SettledAs.RETRY if may_retry else SettledAs.DEAD
            record = self._record(request, item_id, settled_as, taken_up_at)
            self._keep(replace(record, **self._death(record, opened.refused)))
            return Ending(_FATE_OF_RECORD[settled_as], failed_for_now=may_retry)
        return self._call(request, item_id, opened.pictures, taken_up_at, is_lost=is_lost)

    def _item_id(self, request: Request, opened: Opened) -> str:
        if opened.refused is not None or self.sends_urls or self.knows_by_source:
            return request.fallback_id
        return item_id_of(request.operation, [picture.content for picture in opened.pictures])

    def _call(
        self,
        request: Request,
        item_id: str,
        pictures: Sequence[Sent],
        taken_up_at: int,
        *,
        is_lost: Callable[[], bool],
    ) -> Ending | Held[Ending]:
        def failed_before() -> str:
            return request.failed_before or self._failed_before(item_id)

        delivery = self.sender.send(request.operation, pictures, item_id, failed_before, is_lost=is_lost)
        size_bytes = sum(len(picture.content) for picture in pictures)
        finish = partial(self._finish, _Called(request, item_id, delivery, size_bytes, taken_up_at))
        if isinstance(delivery.verdict, Future):
            verdict = delivery.verdict
            return Held(verdict, lambda: finish(verdict.result()))
        return finish(delivery.verdict)

    def _failed_before(self, item_id: str) -> str:
        failure = self.answered.failure_of(item_id)
        return "" if failure is None else failure.code

    def _finish(self, called: _Called, verdict: Verdict) -> Ending:
        """Record what came of a call, now that it is known whose failure it is, if it is one."""
        request, delivery, attempt = called.request, called.delivery, called.delivery.attempt
        if attempt is None:
            if self.watches:
                self._keep(self._record(request, called.item_id, SettledAs.DEFERRED, called.taken_up_at))
            return Ending(Fate.DEFERRED)
        outcome = attempt.outcome
        if self.sends_urls and outcome.code == _CANNOT_FETCH and is_refused(request, self.access):
            self.sender.stop(STORAGE_REFUSED)
            verdict = Verdict.DEFERRED
        settled_as = _settled_as(outcome, verdict, may_retry=request.may_retry)
        record = self._record(request, called.item_id, settled_as, called.taken_up_at)
        self._keep(
            replace(
                record,
                **({} if settled_as is SettledAs.ANSWERED else self._death(record, outcome)),
                http_status=attempt.status,
                attempts=delivery.attempts,
                latency_s=attempt.latency_s,
                picture_bytes=called.size_bytes,
                reply=attempt.body,
            )
        )
        waits_s = (delivery.waited_s, delivery.throttled_s, delivery.queued_s)
        is_retry = settled_as is SettledAs.RETRY
        fate = _FATE_OF_RECORD[settled_as]
        return Ending(fate, delivery.attempts, attempt.latency_s, *waits_s, failed_for_now=is_retry)

    def _follow(self, request: Request, item_id: str, claim: Claim, taken_up_at: int) -> Ending:
        """A duplicate of a request that went first, whose fate is known."""
        fate_of_first = claim.wait()
        if fate_of_first is Fate.DEFERRED:
            if self.watches:
                settled_as = SettledAs.RETRY if claim.failed_for_now else SettledAs.DEFERRED
                self._keep(self._record(request, item_id, settled_as, taken_up_at))
            return Ending(Fate.DEFERRED, failed_for_now=claim.failed_for_now)
        self._keep_duplicate(request, item_id, taken_up_at)
        was_before = fate_of_first is Fate.ANSWERED_BEFORE
        return Ending(Fate.ANSWERED_BEFORE if was_before else Fate.DUPLICATE)

    def _keep_duplicate(self, request: Request, item_id: str, taken_up_at: int) -> None:
        """Record an input of a processed image, with its labels, once; one of a failed image says why it failed."""
        record = self._record(request, item_id, SettledAs.COPY, taken_up_at)
        if self.answered.has_input(record.source_id, record.input_id):
            return
        if (failure := self.answered.failure_of(item_id)) is not None:
            outcome = outcome_of_code(failure.code)
            said: dict[str, Any] = {"stage": outcome.stage.value, "code": failure.code, "message": outcome.message}
            record = replace(record, **said, retriable=failure.is_retriable)
        self._keep(record)

    def _keep(self, settled: Settled) -> None:
        """Make a record durable, then count on it."""
        self.journal.append(settled)
        if settled.outcome not in LEFT:
            self.answered.note(settled)

    def _record(self, request: Request, item_id: str, settled_as: SettledAs, taken_up_at: int) -> Settled:
        return Settled(
            item_id=item_id,
            source_id=request.source_id,
            outcome=settled_as.value,
            operation=request.operation,
            uris=request.uris,
            labels=request.labels,
            first_at=taken_up_at,
            last_at=self._now_us(),
            retriable=settled_as.value in LEFT,
        )

    def _death(self, record: Settled, outcome: Outcome) -> dict[str, Any]:
        """What a record says of a request that failed; one that failed in several runs waits for `replay`."""
        return {
            "stage": outcome.stage.value,
            "code": outcome.code,
            "message": outcome.message,
            "retriable": record.retriable or (outcome.retriable and self._is_tried_again(record)),
        }

    def _is_tried_again(self, record: Settled) -> bool:
        """Whether the next run tries again what failed now."""
        return self.answered.failures_of(record.item_id, record.source_id) + 1 < FINAL_AFTER_RUNS

    def _now_us(self) -> int:
        return int(self.now_s() * 1_000_000)


def _claimed(claim: Claim, work: Callable[[], Ending | Held[Ending]]) -> Ending | Held[Ending]:
    """Do the work of a claim's first request, and tell its duplicates what came of it, whatever happens."""
    ending: Ending | Held[Ending] = Ending(Fate.DEFERRED)
    try:
        ending = work()
    finally:
        if isinstance(ending, Held):
            claim.hold()
        else:
            claim.settle(ending.fate, failed_for_now=ending.failed_for_now)
    return Held(ending.decided, partial(_claimed_still, claim, ending.finish)) if isinstance(ending, Held) else ending


def _claimed_still(claim: Claim, finish: Callable[[], Ending]) -> Ending:
    """The last step of a claim's first request that was held."""
    ending = Ending(Fate.DEFERRED)
    try:
        ending = finish()
    finally:
        claim.settle(ending.fate, failed_for_now=ending.failed_for_now)
    return ending


def _settled_as(outcome: Outcome, verdict: Verdict, *, may_retry: bool) -> SettledAs:
    if verdict is Verdict.DEFERRED:
        return SettledAs.DEFERRED
    if outcome.action is Action.ANSWERED:
        return SettledAs.ANSWERED
    is_for_now = outcome.retriable or verdict is Verdict.UNKNOWN
    return SettledAs.RETRY if may_retry and is_for_now else SettledAs.DEAD
