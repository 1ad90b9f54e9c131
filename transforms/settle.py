"""Request -> Ending: one picture's way from its URI to a durable answer.

Known by source? -> read and look -> known by content? -> call -> journal. Each step can
end it; nothing is paid for that is known, and nothing is known that is not in the journal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from schemas.contract import OPERATIONS
from schemas.outcomes import OUTCOMES, Action, Outcome
from transforms.answered import Answered, Standing
from transforms.card_client import Sent
from transforms.claims import Claims
from transforms.elements import Ending, Fate, Request, Settled, SettledAs, item_id_of
from transforms.journal import Journal
from transforms.pictures import look_at
from transforms.send import Sender, Stopped
from transforms.sources import PictureFault, read_picture

_FATE_OF_STANDING = {
    Standing.ANSWERED_HERE: Fate.ANSWERED,
    Standing.DEAD_HERE: Fate.DEAD,
    Standing.ANSWERED_BEFORE: Fate.ANSWERED_BEFORE,
    Standing.DEAD_BEFORE: Fate.ANSWERED_BEFORE,
}


@dataclass(frozen=True, slots=True)
class _Opened:
    """The pictures of a request as they are sent, or why they cannot be."""

    pictures: tuple[Sent, ...] = ()
    refused: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Settler:
    """What settling takes; one for each process, used by all its threads."""

    answered: Answered
    sender: Sender
    journal: Journal
    sends_urls: bool = False
    knows_by_source: bool = False
    now_s: Callable[[], float] = time.time

    def settle(self, request: Request, claims: Claims) -> Ending:
        """The whole way of one request. `claims` are those of all requests that may be its copies."""
        taken_up_at = self._now_us()
        standing, item_id = self.answered.of_source(request.source_id)
        opened = _Opened()
        if standing is Standing.NEW:
            if self.sender.is_stopped:
                return Ending(Fate.DEFERRED)
            opened = self._open(request)
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

    def _open(self, request: Request) -> _Opened:
        try:
            if len(request.pictures) != len(OPERATIONS[request.operation].picture_params):
                raise PictureFault(OUTCOMES["lone_side"])
            if self.sends_urls:
                return _Opened(tuple(Sent(url=uri) for uri in request.uris))
            return _Opened(tuple(_look(read_picture(uri)) for uri in request.uris))
        except PictureFault as fault:
            return _Opened(refused=fault.outcome)

    def _go_first(
        self, request: Request, item_id: str, standing: Standing, opened: _Opened, taken_up_at: int
    ) -> Ending:
        if standing is not Standing.NEW:
            if opened.pictures:  # it was opened to be known; from now on its source is enough
                self._keep(self._record(request, item_id, SettledAs.COPY, taken_up_at))
            return Ending(_FATE_OF_STANDING[standing])
        if opened.refused is not None:
            record = self._record(request, item_id, SettledAs.DEAD, taken_up_at)
            self._keep(replace(record, **_death(opened.refused)))
            return Ending(Fate.DEAD)
        return self._call(request, item_id, opened.pictures, taken_up_at)

    def _item_id(self, request: Request, opened: _Opened) -> str:
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
        return Ending(fate, delivery.attempts, delivery.waited_s, attempt.latency_s)

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


def _look(content: bytes) -> Sent:
    look = look_at(content)
    if look.refused is not None:
        raise PictureFault(look.refused)
    return Sent(content, look.content_type or "")


def _death(outcome: Outcome) -> dict[str, Any]:
    """What a record says of a request that died."""
    return {
        "stage": outcome.stage.value,
        "code": outcome.code,
        "message": outcome.message,
        "retriable": outcome.retriable,
    }
