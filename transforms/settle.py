"""Request -> Ending: one picture's way from its URI to a durable answer.

Known by source? -> read and look -> known by content? -> call -> journal. Each step can
end it; nothing is paid for that is known, and nothing is known that is not in the journal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from schemas.outcomes import OUTCOMES, Action, Outcome
from transforms.access import Access
from transforms.answered import Answered, Standing
from transforms.card_client import Sent
from transforms.claims import Claims
from transforms.elements import Ending, Fate, Request, Settled, SettledAs, item_id_of
from transforms.journal import Journal
from transforms.open_request import Opened, is_refused, open_request
from transforms.send import Sender, Stopped
from transforms.sources import StorageRefused
from transforms.stop import STORAGE_REFUSED

_FATE_OF_STANDING = {
    Standing.ANSWERED_HERE: Fate.ANSWERED,
    Standing.DEAD_HERE: Fate.DEAD,
    Standing.ANSWERED_BEFORE: Fate.ANSWERED_BEFORE,
    Standing.DEAD_BEFORE: Fate.ANSWERED_BEFORE,
}

_CANNOT_FETCH = OUTCOMES["error_2"].code


@dataclass(frozen=True, slots=True)
class Settler:
    """What settling takes; one for each process, used by all its threads."""

    answered: Answered
    sender: Sender
    journal: Journal
    sends_urls: bool = False
    knows_by_source: bool = False
    access: Access = field(default_factory=Access)
    now_s: Callable[[], float] = time.time

    def settle(self, request: Request, claims: Claims) -> Ending:
        """The whole way of one request. `claims` are those of all requests that may be its copies."""
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
        if not is_first:
            return self._follow(request, item_id, claim.wait(), taken_up_at)
        ending = Ending(Fate.DEFERRED)
        try:
            ending = self._go_first(request, item_id, standing, opened, taken_up_at)
        finally:
            claim.settle(ending.fate)
        return ending

    def _go_first(self, request: Request, item_id: str, standing: Standing, opened: Opened, taken_up_at: int) -> Ending:
        if standing is not Standing.NEW:
            if opened.pictures:  # it was opened to be known; from now on its source is enough
                self._keep(self._record(request, item_id, SettledAs.COPY, taken_up_at))
            return Ending(_FATE_OF_STANDING[standing])
        if opened.refused is not None:
            record = self._record(request, item_id, SettledAs.DEAD, taken_up_at)
            self._keep(replace(record, **_death(opened.refused)))
            return Ending(Fate.DEAD)
        return self._call(request, item_id, opened.pictures, taken_up_at)

    def _item_id(self, request: Request, opened: Opened) -> str:
        if opened.refused is not None or self.sends_urls or self.knows_by_source:
            return request.fallback_id
        return item_id_of(request.operation, [picture.content for picture in opened.pictures])

    def _call(self, request: Request, item_id: str, pictures: Sequence[Sent], taken_up_at: int) -> Ending:
        try:
            delivery = self.sender.send(request.operation, pictures)
        except Stopped:
            return Ending(Fate.DEFERRED)
        attempt = delivery.attempt
        is_answered = attempt.outcome.action is Action.ANSWERED
        if self.sends_urls and attempt.outcome.code == _CANNOT_FETCH and is_refused(request, self.access):
            self.sender.stop(STORAGE_REFUSED)
            return Ending(Fate.DEFERRED)
        record = self._record(request, item_id, SettledAs.ANSWERED if is_answered else SettledAs.DEAD, taken_up_at)
        self._keep(
            replace(
                record,
                **({} if is_answered else _death(attempt.outcome)),
                http_status=attempt.status,
                attempts=delivery.attempts,
                latency_s=attempt.latency_s,
                picture_bytes=sum(len(picture.content) for picture in pictures),
                reply=attempt.body,
            )
        )
        fate = Fate.ANSWERED if is_answered else Fate.DEAD
        return Ending(
            fate,
            delivery.attempts,
            attempt.latency_s,
            delivery.waited_s,
            delivery.throttled_s,
            delivery.queued_s,
        )

    def _follow(self, request: Request, item_id: str, fate_of_first: Fate, taken_up_at: int) -> Ending:
        """A copy of a request that went first."""
        if fate_of_first is Fate.DEFERRED:
            return Ending(Fate.DEFERRED)
        self._keep(self._record(request, item_id, SettledAs.COPY, taken_up_at))
        was_before = fate_of_first is Fate.ANSWERED_BEFORE
        return Ending(Fate.ANSWERED_BEFORE if was_before else Fate.DUPLICATE)

    def _keep(self, settled: Settled) -> None:
        """Make a record durable, then count on it."""
        self.journal.append(settled)
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
        )

    def _now_us(self) -> int:
        return int(self.now_s() * 1_000_000)


def _death(outcome: Outcome) -> dict[str, Any]:
    """What a record says of a request that died."""
    return {
        "stage": outcome.stage.value,
        "code": outcome.code,
        "message": outcome.message,
        "retriable": outcome.retriable,
    }
