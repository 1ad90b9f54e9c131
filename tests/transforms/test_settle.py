"""One picture's way from its URI to a durable answer, against a real server and a real journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.outcomes import OUTCOMES
from tests.servers import Answer, CardServer, failure, key_of, success
from tests.transforms.rig import START_US, Rig
from transforms.claims import Claims
from transforms.elements import Ending, Fate, Picture, Request, Settled, item_id_of
from transforms.journal import LocalJournal

ANSWERED = success(("passport", {"id": "B0000001"}))


def test_an_answer_is_a_record(rig_of: Callable[..., Rig], put: Callable[..., Request], jpeg: bytes) -> None:
    """A new picture is sent unchanged, once, and its answer stands in the journal with all that is known of it."""
    request = replace(put("a.jpg", jpeg), labels=(("customer", "7"),))
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server)
        ending = rig.settler.settle(request, Claims())
        assert [part.content for got in server.received for part in got.pictures] == [jpeg]
    (record,) = rig.records
    waits_s = (ending.waited_s, ending.throttled_s, ending.queued_s)
    assert ending == Ending(Fate.ANSWERED, 1, ending.latency_s, *waits_s)
    assert record == Settled(
        item_id=item_id_of("ekyc/card", [jpeg]),
        source_id=request.source_id,
        outcome="answered",
        operation="ekyc/card",
        uris=request.uris,
        labels=(("customer", "7"),),
        first_at=START_US,
        last_at=START_US + 1_000_000,
        http_status=200,
        attempts=1,
        latency_s=ending.latency_s,
        picture_bytes=len(jpeg),
        reply=ANSWERED.body,
    )


@pytest.mark.parametrize(
    ("answer", "code", "retriable", "attempts", "is_kept"),
    [
        (failure("1"), "error_1", False, 1, True),
        (failure("2"), "error_2", False, 1, True),
        (failure("3"), "error_3", False, 1, True),
        (failure("88"), "error_88", False, 1, True),
        (Answer(b"<html>"), "bad_reply", False, 3, True),
        (Answer(status=413), "http_413", False, 1, False),
        (Answer(status=500), "http_500", True, 3, False),
    ],
)
def test_a_death_is_a_record(
    answer: Answer,
    code: str,
    retriable: bool,
    attempts: int,
    is_kept: bool,
    rig_of: Callable[..., Rig],
    put: Callable[..., Request],
    jpeg: bytes,
) -> None:
    """What the endpoint will not answer is dead with its code; a reply that may have been paid for is kept."""
    with CardServer(lambda got: answer) as server:
        rig = rig_of(server)
        assert rig.settle(put("a.jpg", jpeg)) is Fate.DEAD
    (record,) = rig.records
    assert (record.outcome, record.stage, record.code, record.retriable) == ("dead", "call", code, retriable)
    assert (record.http_status, record.attempts) == (answer.status, attempts)
    assert record.reply == (answer.body if is_kept else None)


@pytest.mark.parametrize(
    ("content", "code", "retriable"),
    [(None, "not_found", True), (b"", "unreadable_image", False), (b"no picture", "unreadable_image", False)],
)
def test_what_cannot_be_sent_is_not_paid_for(
    content: bytes | None,
    code: str,
    retriable: bool,
    rig_of: Callable[..., Rig],
    put: Callable[..., Request],
    tmp_path: Path,
) -> None:
    """A picture that is not there or no picture dies before the call, under its source."""
    request = put("a.jpg", content or b"")
    if content is None:
        (tmp_path / "a.jpg").unlink()
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server)
        assert rig.settle(request) is Fate.DEAD
        assert server.received == []
    (record,) = rig.records
    assert (record.stage, record.code, record.message) == ("read", code, OUTCOMES[code].message)
    assert (record.retriable, record.attempts, record.reply) == (retriable, 0, None)
    assert (record.item_id, record.source_id) == (request.fallback_id, request.source_id)


def test_a_lone_side_is_not_paid_for(
    rig_of: Callable[..., Rig], put: Callable[..., Request], jpeg: bytes, png: bytes
) -> None:
    """Two sides are one request with one key, in their order; one side alone is dead."""
    front, back = put("f.jpg", jpeg, "ekyc/cards"), put("b.png", png, "ekyc/cards")
    pair = Request("ekyc/cards", (*front.pictures, *back.pictures))
    swapped = Request("ekyc/cards", (*back.pictures, *front.pictures))
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server)
        fates = [rig.settle(request) for request in (front, pair, swapped, pair)]
        assert dict(server.calls) == {key_of(jpeg, png): 1, key_of(png, jpeg): 1}
    assert fates == [Fate.DEAD, Fate.ANSWERED, Fate.ANSWERED, Fate.DUPLICATE]
    assert [one.code for one in rig.records] == ["lone_side", None, None, None]


def test_a_url_goes_as_it_is(rig_of: Callable[..., Rig]) -> None:
    """In url transfer no picture is read: its URL is sent; one that the endpoint cannot fetch is tried again."""
    url = "https://pictures.example/a.jpg"
    with CardServer(lambda got: failure("2") if len(server.received) < 3 else ANSWERED) as server:
        rig = rig_of(server, transfer="url")
        request = Request("ekyc/card", (Picture(url, 10, "etag-1"),))
        assert rig.settle(request) is Fate.ANSWERED
        assert [got.query["img"] for got in server.received] == [url] * 3
    assert [(one.item_id, one.attempts) for one in rig.records] == [(request.source_id, 3)]


def test_a_stopped_run_defers(
    rig_of: Callable[..., Rig], put: Callable[..., Request], draw: Callable[..., bytes]
) -> None:
    """What the stop meets, and what comes after it, is deferred with its copies: no call, no record, no death."""
    requests = [put(f"{number}.jpg", draw(number // 2)) for number in range(6)]
    with CardServer(lambda got: failure("4") if got.key == key_of(draw(1)) else ANSWERED) as server:
        rig = rig_of(server)
        fates = [rig.settle(request) for request in requests]
        assert dict(server.calls) == {key_of(draw(0)): 1, key_of(draw(1)): 1}
    assert fates == [Fate.ANSWERED, Fate.DUPLICATE] + [Fate.DEFERRED] * 4
    assert [one.outcome for one in rig.records] == ["answered", "copy"]


class FullDisk(LocalJournal):
    """A journal that takes nothing."""

    def append(self, settled: Settled) -> None:
        raise OSError("no space left on device")


def test_nothing_is_known_that_is_not_durable(
    rig_of: Callable[..., Rig], put: Callable[..., Request], jpeg: bytes
) -> None:
    """Where the journal takes no answer the request fails, its copies do not wait for ever, and it is not known."""
    request = put("a.jpg", jpeg)
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server)
        durable, full = rig.settler, replace(rig.settler, journal=FullDisk(rig.folder, "r1"))
        claims = Claims()
        with pytest.raises(OSError, match="no space left"):
            full.settle(request, claims)
        assert durable.settle(put("b.jpg", jpeg), claims).fate is Fate.DEFERRED
        assert durable.settle(request, Claims()).fate is Fate.ANSWERED
    assert [one.outcome for one in rig.records] == ["answered"]
