"""Request -> RequestResult: one image's way from its URI to a durable answer.

Known by source? -> read and look -> known by content? -> call -> journal. Each step can
end it; nothing is paid for that is known, and nothing is known that is not in the journal.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from msgspec import structs

from cardbeam import telemetry
from cardbeam.calls.access_check import AccessCheck
from cardbeam.calls.bounded_executor import Held
from cardbeam.calls.duplicates import InFlightDuplicates, InFlightResult
from cardbeam.calls.load_request import LoadedRequest, is_refused, load_request
from cardbeam.calls.sender import Sender, SendResult, Verdict
from cardbeam.index.failures import FINAL_AFTER_RUNS
from cardbeam.index.history import RequestHistory, history_of
from cardbeam.index.processed_index import ProcessedIndex
from cardbeam.index.status import PriorStatus
from cardbeam.inputs.image_source import StorageRefused
from cardbeam.journal.writer import Journal
from cardbeam.model.record import LEFT, JournalRecord, RecordStatus
from cardbeam.model.request import Request
from cardbeam.model.result import RequestOutcome, RequestResult
from cardbeam.run_state.stop_signal import STORAGE_REFUSED
from schemas.outcomes import OUTCOMES, Action, Outcome, outcome_of_code

_OUTCOME_OF_STATUS = {
    PriorStatus.SUCCEEDED_THIS_RUN: RequestOutcome.SUCCEEDED,
    PriorStatus.FAILED_THIS_RUN: RequestOutcome.DEAD_LETTERED,
    PriorStatus.SUCCEEDED_EARLIER_RUN: RequestOutcome.SKIPPED,
    PriorStatus.FAILED_EARLIER_RUN: RequestOutcome.SKIPPED,
}

_FATE_OF_RECORD = {
    RecordStatus.SUCCEEDED: RequestOutcome.SUCCEEDED,
    RecordStatus.FAILED: RequestOutcome.DEAD_LETTERED,
    RecordStatus.RETRY: RequestOutcome.DEFERRED,
    RecordStatus.DEFERRED: RequestOutcome.DEFERRED,
}

_CANNOT_FETCH = OUTCOMES["error_2"].code


@dataclass(frozen=True, slots=True)
class _Called:
    """A request that was sent, or could not be, without what was sent of it."""

    request: Request
    item_id: str
    sent: SendResult
    size_bytes: int
    message: str | None
    started_at: int


@dataclass(frozen=True, slots=True)
class RequestProcessor:
    """What processing takes; one for each process, used by all its threads.

    A run that `watches` records whatever it defers, so that the watch gives it out again.
    """

    index: ProcessedIndex | RequestHistory
    sender: Sender
    journal: Journal
    transfer_by_url: bool = False
    dedupe_by_source: bool = False
    access: AccessCheck = field(default_factory=AccessCheck)
    now_s: Callable[[], float] = time.time
    watches: bool = False
    as_jpegs: bool = False
    """Sends as JPEG what is neither that nor PNG nor PDF."""

    def process(
        self, request: Request, duplicates: InFlightDuplicates, is_superseded: Callable[[], bool] = lambda: False
    ) -> RequestResult | Held[RequestResult]:
        """The whole way of one request, unless it `is_superseded` to another bundle.

        `duplicates` are those of all requests that may be its duplicates.
        It is held where other requests decide whose failure it is, or where it is a duplicate of one that is held.
        """
        if isinstance(self.index, ProcessedIndex) and self.index.stored is not None:
            known = replace(self, index=history_of(self.index, request))
            return known._process(request, duplicates, is_superseded)
        return self._process(request, duplicates, is_superseded)

    def _process(
        self, request: Request, duplicates: InFlightDuplicates, is_superseded: Callable[[], bool]
    ) -> RequestResult | Held[RequestResult]:
        started_at = self._now_us()
        prior, item_id = self.index.of_source(request.source_id)
        loaded = LoadedRequest(request)
        if prior is PriorStatus.UNKNOWN:
            if self.sender.is_stopped:
                return RequestResult(RequestOutcome.DEFERRED)
            try:
                loaded = load_request(request, self.access, by_url=self.transfer_by_url, as_jpegs=self.as_jpegs)
            except StorageRefused:
                self.sender.stop(STORAGE_REFUSED)
                return RequestResult(RequestOutcome.DEFERRED)
            request = loaded.request
            item_id = self._item_id(request, loaded)
            prior = self.index.of_item(item_id, None if item_id == request.fallback_id else loaded.size_bytes)
        is_first, first = duplicates.take(item_id)
        if is_first:
            go_first = partial(self._go_first, request, item_id, prior, loaded, started_at, is_superseded=is_superseded)
            return _result_of_first(first, go_first)
        request_outcome = first.wait()
        if isinstance(request_outcome, Future):
            return Held(request_outcome, lambda: self._follow(request, item_id, first, started_at))
        return self._follow(request, item_id, first, started_at)

    def _go_first(
        self,
        request: Request,
        item_id: str,
        prior: PriorStatus,
        loaded: LoadedRequest,
        started_at: int,
        *,
        is_superseded: Callable[[], bool],
    ) -> RequestResult | Held[RequestResult]:
        if prior is not PriorStatus.UNKNOWN:
            self._keep_duplicate(request, item_id, started_at)
            return RequestResult(_OUTCOME_OF_STATUS[prior], item_id)
        if loaded.refused is not None:
            may_retry = request.may_retry and loaded.refused.retriable
            status = RecordStatus.RETRY if may_retry else RecordStatus.FAILED
            record = self._record(request, item_id, status, started_at)
            self._keep(structs.replace(record, **self._failure(record, loaded.refused)))
            return RequestResult(_FATE_OF_RECORD[status], item_id, loaded.refused.code, failed_for_now=may_retry)
        return self._call(request, item_id, loaded, started_at, is_superseded=is_superseded)

    def _item_id(self, request: Request, loaded: LoadedRequest) -> str:
        return request.fallback_id if self.dedupe_by_source else loaded.content_id or request.fallback_id

    def _call(
        self,
        request: Request,
        item_id: str,
        loaded: LoadedRequest,
        started_at: int,
        *,
        is_superseded: Callable[[], bool],
    ) -> RequestResult | Held[RequestResult]:
        def failed_before() -> str:
            return request.failed_before or self._failed_before(item_id)

        sent = self.sender.send(request.operation, loaded.images, item_id, failed_before, is_superseded=is_superseded)
        finish = partial(self._finish, _Called(request, item_id, sent, loaded.size_bytes, loaded.message, started_at))
        if isinstance(sent.verdict, Future):
            verdict = sent.verdict
            return Held(verdict, lambda: finish(verdict.result()))
        return finish(sent.verdict)

    def _failed_before(self, item_id: str) -> str:
        failure = self.index.failure_of(item_id)
        return "" if failure is None else failure.code

    def _finish(self, called: _Called, verdict: Verdict) -> RequestResult:
        """Record what came of a call, now that it is known whose failure it is, if it is one."""
        request, sent, attempt = called.request, called.sent, called.sent.result
        if attempt is None:
            if self.watches:
                self._keep(self._record(request, called.item_id, RecordStatus.DEFERRED, called.started_at))
            return RequestResult(RequestOutcome.DEFERRED)
        outcome = attempt.outcome
        if self.transfer_by_url and outcome.code == _CANNOT_FETCH and is_refused(request, self.access):
            self.sender.stop(STORAGE_REFUSED)
            verdict = Verdict.DEFERRED
        status = _settled_as(outcome, verdict, may_retry=request.may_retry)
        record = self._record(request, called.item_id, status, called.started_at)
        self._keep(
            structs.replace(
                record,
                **({"message": called.message} if status is RecordStatus.SUCCEEDED else self._failure(record, outcome)),
                http_status=attempt.status,
                attempts=sent.attempts,
                latency_s=attempt.latency_s,
                image_bytes=called.size_bytes,
                response=attempt.body,
            )
        )
        return RequestResult(
            _FATE_OF_RECORD[status],
            called.item_id,
            "" if status is RecordStatus.SUCCEEDED else outcome.code,
            attempts=sent.attempts,
            latency_s=attempt.latency_s,
            waited_s=sent.waited_s,
            throttled_s=sent.throttled_s,
            queued_s=sent.queued_s,
            failed_for_now=status is RecordStatus.RETRY,
        )

    def _follow(self, request: Request, item_id: str, first: InFlightResult, started_at: int) -> RequestResult:
        """A duplicate of a request that went first, whose fate is known."""
        first_outcome = first.wait()
        if first_outcome is RequestOutcome.DEFERRED:
            if self.watches:
                status = RecordStatus.RETRY if first.failed_for_now else RecordStatus.DEFERRED
                self._keep(self._record(request, item_id, status, started_at))
            return RequestResult(RequestOutcome.DEFERRED, failed_for_now=first.failed_for_now)
        self._keep_duplicate(request, item_id, started_at)
        was_before = first_outcome is RequestOutcome.SKIPPED
        return RequestResult(RequestOutcome.SKIPPED if was_before else RequestOutcome.DUPLICATE, item_id)

    def _keep_duplicate(self, request: Request, item_id: str, started_at: int) -> None:
        """Record an input of a processed image, with its labels, once; one of a failed image says why it failed.

        An image that was replaced and is put back is recorded again: it is the newest where it is.
        """
        record = self._record(request, item_id, RecordStatus.DUPLICATE, started_at)
        if self.index.is_erased(item_id):
            self._keep_erased(record)
            return
        is_held = self.index.has_input(record.source_id, record.input_id)
        if is_held and not self.index.is_superseded(record.source_id):
            return
        if (failure := self.index.failure_of(item_id)) is not None:
            outcome = outcome_of_code(failure.code)
            text: dict[str, Any] = {"stage": outcome.stage.value, "code": failure.code, "message": outcome.message}
            record = structs.replace(record, **text, retriable=failure.is_retriable)
        self._keep(record)

    def _keep_erased(self, record: JournalRecord) -> None:
        """Record that a source holds an image that was erased, so that it is not opened again; nothing else of it."""
        if self.index.of_source(record.source_id)[0] is PriorStatus.UNKNOWN:
            erased = RecordStatus.ERASED.value
            self._keep(structs.replace(record, outcome=erased, code=erased, uris=(), labels=()))

    def _keep(self, record: JournalRecord) -> None:
        """Make a record durable, then count on it."""
        self.journal.append(record)
        telemetry.image_completed(record.outcome, record.code)
        if record.outcome not in LEFT:
            self.index.record(record)

    def _record(self, request: Request, item_id: str, status: RecordStatus, started_at: int) -> JournalRecord:
        return JournalRecord(
            item_id=item_id,
            source_id=request.source_id,
            outcome=status.value,
            operation=request.operation,
            uris=request.uris,
            labels=request.labels,
            started_at=started_at,
            completed_at=self._now_us(),
            retriable=status.value in LEFT,
        )

    def _failure(self, record: JournalRecord, outcome: Outcome) -> dict[str, Any]:
        """What a record says of a request that failed; one that failed in several runs waits for `replay`."""
        return {
            "stage": outcome.stage.value,
            "code": outcome.code,
            "message": outcome.message,
            "retriable": record.retriable or (outcome.retriable and self._is_tried_again(record)),
        }

    def _is_tried_again(self, record: JournalRecord) -> bool:
        """Whether the next run tries again what failed now."""
        return self.index.failures_of(record.item_id, record.source_id) + 1 < FINAL_AFTER_RUNS

    def _now_us(self) -> int:
        return int(self.now_s() * 1_000_000)


def _result_of_first(
    first: InFlightResult, work: Callable[[], RequestResult | Held[RequestResult]]
) -> RequestResult | Held[RequestResult]:
    """Do the work of a claim's first request, and tell its duplicates what came of it, whatever happens."""
    result: RequestResult | Held[RequestResult] = RequestResult(RequestOutcome.DEFERRED)
    try:
        result = work()
    finally:
        if isinstance(result, Held):
            first.hold()
        else:
            first.set_result(result.outcome, failed_for_now=result.failed_for_now)
    return Held(result.decided, partial(_claimed_still, first, result.finish)) if isinstance(result, Held) else result


def _claimed_still(first: InFlightResult, finish: Callable[[], RequestResult]) -> RequestResult:
    """The last step of a claim's first request that was held."""
    result = RequestResult(RequestOutcome.DEFERRED)
    try:
        result = finish()
    finally:
        first.set_result(result.outcome, failed_for_now=result.failed_for_now)
    return result


def _settled_as(outcome: Outcome, verdict: Verdict, *, may_retry: bool) -> RecordStatus:
    if verdict is Verdict.DEFERRED:
        return RecordStatus.DEFERRED
    if outcome.action is Action.SUCCEEDED:
        return RecordStatus.SUCCEEDED
    is_for_now = outcome.retriable or verdict is Verdict.UNKNOWN
    return RecordStatus.RETRY if may_retry and is_for_now else RecordStatus.FAILED
