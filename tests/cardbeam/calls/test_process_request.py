"""One image's way from its URI to a durable answer, against a real server and a real journal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from msgspec import structs

from cardbeam.calls.bounded_executor import Held
from cardbeam.calls.duplicates import InFlightDuplicates
from cardbeam.journal.local_writer import LocalJournal
from cardbeam.model.record import JournalRecord
from cardbeam.model.request import ImageRef, Request, item_id_of
from cardbeam.model.result import RequestOutcome, RequestResult
from cardbeam.ratelimit.throttle import Throttle
from cardbeam.run_state.stop_signal import BUDGET, STORAGE_REFUSED, StopReason
from cardbeam.storage.object_store import connect
from schemas.outcomes import OUTCOMES
from tests.cardbeam.rig import START_US, Rig
from tests.records import failed_record
from tests.servers import Answer, CardServer, failure, success
from tests.wire import Received, key_of

ANSWERED = success(("passport", {"id": "B0000001"}))


def test_an_answer_is_a_record(rig_of: Callable[..., Rig], put: Callable[..., Request], jpeg: bytes) -> None:
    """A new image is sent unchanged, once, and its answer stands in the journal with all that is known of it."""
    request = replace(put("a.jpg", jpeg), labels=(("customer", "7"),))
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server)
        result = rig.processor.process(request, InFlightDuplicates())
        assert [part.content for got in server.received for part in got.images] == [jpeg]
    (record,) = rig.records
    assert isinstance(result, RequestResult)
    assert (result.outcome, result.attempts, result.latency_s) == (RequestOutcome.SUCCEEDED, 1, record.latency_s)
    assert 0 < (record.latency_s or 0) < 30
    assert record == JournalRecord(
        item_id=item_id_of("ekyc/card", [jpeg]),
        source_id=request.source_id,
        outcome="succeeded",
        operation="ekyc/card",
        uris=request.uris,
        labels=(("customer", "7"),),
        started_at=START_US,
        completed_at=START_US + 1_000_000,
        http_status=200,
        attempts=1,
        latency_s=record.latency_s,
        image_bytes=len(jpeg),
        response=ANSWERED.body,
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
        (Answer(status=415), "unsupported_format", False, 1, False),
        (Answer(status=403), "http_403", True, 1, False),
        (failure("5"), "error_5", True, 1, True),
        (failure("6"), "error_6", True, 1, True),
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
    draw: Callable[..., bytes],
    jpeg: bytes,
) -> None:
    """What the endpoint rejects while it answers others has failed, with its code; a response that may be billed is
    kept."""
    with CardServer(lambda got: answer if got.key == key_of(jpeg) else ANSWERED) as server:
        rig = rig_of(server)
        assert [rig.process(put("b.jpg", draw(7))), rig.process(put("a.jpg", jpeg))] == [
            RequestOutcome.SUCCEEDED,
            RequestOutcome.DEAD_LETTERED,
        ]
    _, record = rig.records
    assert (record.outcome, record.stage, record.code, record.retriable) == ("failed", "call", code, retriable)
    assert (record.http_status, record.attempts) == (answer.status, attempts)
    assert record.response == (answer.body if is_kept else None)


@pytest.mark.parametrize(
    ("content", "code", "retriable"),
    [(None, "not_found", True), (b"", "unreadable_image", False), (b"no image", "unreadable_image", False)],
)
def test_what_cannot_be_sent_is_not_paid_for(
    content: bytes | None,
    code: str,
    retriable: bool,
    rig_of: Callable[..., Rig],
    put: Callable[..., Request],
    tmp_path: Path,
) -> None:
    """An image that is not there or no image dies before the call, under its source."""
    request = put("a.jpg", content or b"")
    if content is None:
        (tmp_path / "a.jpg").unlink()
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server)
        assert rig.process(request) is RequestOutcome.DEAD_LETTERED
        assert server.received == []
    (record,) = rig.records
    assert (record.stage, record.code, record.message) == ("read", code, OUTCOMES[code].message)
    assert (record.retriable, record.attempts, record.response) == (retriable, 0, None)
    assert (record.item_id, record.source_id) == (request.fallback_id, request.source_id)


def test_a_lone_side_is_not_paid_for(
    rig_of: Callable[..., Rig], put: Callable[..., Request], jpeg: bytes, png: bytes
) -> None:
    """Two sides are one request with one key, in their order; one side alone is a failure."""
    front, back = put("f.jpg", jpeg, "ekyc/cards"), put("b.png", png, "ekyc/cards")
    pair = Request("ekyc/cards", (*front.images, *back.images))
    swapped = Request("ekyc/cards", (*back.images, *front.images))
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server)
        outcomes = [rig.process(request) for request in (front, pair, swapped, pair)]
        assert dict(server.calls) == {key_of(jpeg, png): 1, key_of(png, jpeg): 1}
    assert outcomes == [
        RequestOutcome.DEAD_LETTERED,
        RequestOutcome.SUCCEEDED,
        RequestOutcome.SUCCEEDED,
        RequestOutcome.DUPLICATE,
    ]
    assert [one.code for one in rig.records] == ["unpaired", None, None]


def test_a_url_goes_as_it_is(rig_of: Callable[..., Rig]) -> None:
    """In url transfer no image is read: its URL is sent; one that the endpoint cannot fetch is tried again."""
    url = "https://images.example/a.jpg"
    with CardServer(lambda got: failure("2") if len(server.received) < 3 else ANSWERED) as server:
        rig = rig_of(server, transfer="url")
        request = Request("ekyc/card", (ImageRef(url, 10, "etag-1"),))
        assert rig.process(request) is RequestOutcome.SUCCEEDED
        assert [got.query["img"] for got in server.received] == [url] * 3
    assert [(one.item_id, one.attempts) for one in rig.records] == [(request.source_id, 3)]


def test_a_stopped_run_defers(
    rig_of: Callable[..., Rig], put: Callable[..., Request], draw: Callable[..., bytes]
) -> None:
    """What the stop meets, and what comes after it, is deferred with its duplicates: no call more, no failure. The
    record of what was sent counts the call."""
    requests = [put(f"{number}.jpg", draw(number // 2)) for number in range(6)]
    with CardServer(lambda got: failure("4") if got.key == key_of(draw(1)) else ANSWERED) as server:
        rig = rig_of(server)
        outcomes = [rig.process(request) for request in requests]
        assert dict(server.calls) == {key_of(draw(0)): 1, key_of(draw(1)): 1}
    assert outcomes == [RequestOutcome.SUCCEEDED, RequestOutcome.DUPLICATE] + [RequestOutcome.DEFERRED] * 4
    assert [(one.outcome, one.code, one.attempts) for one in rig.records] == [
        ("succeeded", None, 1),
        ("duplicate", None, 0),
        ("deferred", "error_4", 1),
    ]


class FullDisk(LocalJournal):
    """A journal that takes nothing."""

    def append(self, record: JournalRecord) -> None:
        raise OSError("no space left on device")


def test_nothing_is_known_that_is_not_durable(
    rig_of: Callable[..., Rig], put: Callable[..., Request], jpeg: bytes
) -> None:
    """Where the journal takes no answer the request fails, its duplicates do not wait for ever, and it is not known."""
    request = put("a.jpg", jpeg)
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server)
        durable, full = rig.processor, replace(rig.processor, journal=FullDisk(rig.folder, "r1"))
        duplicates = InFlightDuplicates()
        with pytest.raises(OSError, match="no space left"):
            full.process(request, duplicates)
        assert durable.process(put("b.jpg", jpeg), duplicates).outcome is RequestOutcome.DEFERRED
        assert durable.process(request, InFlightDuplicates()).outcome is RequestOutcome.SUCCEEDED
    assert [one.outcome for one in rig.records] == ["succeeded"]


def _one(records: list[JournalRecord], name: str) -> JournalRecord:
    """The last record of the image with this name."""
    return [one for one in records if one.uris[0].endswith(name)][-1]


def test_what_fails_first_waits_for_the_next_image(
    rig_of: Callable[..., Rig], put: Callable[..., Request], draw: Callable[..., bytes]
) -> None:
    """It is no dead letter until another image is answered; then it is one, with its attempts and its response."""
    garbage = Answer(b"<html>")
    with CardServer(lambda got: garbage if got.key == key_of(draw(0)) else ANSWERED) as server:
        rig = rig_of(server)
        held = rig.start(put("0.jpg", draw(0)))
        assert isinstance(held, Held) and not held.decided.done() and rig.records == []
        assert rig.process(put("1.jpg", draw(1))) is RequestOutcome.SUCCEEDED
        assert held.decided.done()
        assert held.finish().outcome is RequestOutcome.DEAD_LETTERED
    record = _one(rig.records, "0.jpg")
    assert (record.outcome, record.code, record.attempts, record.response) == ("failed", "bad_reply", 3, garbage.body)


def test_what_an_outage_defers_is_recorded_with_its_attempts_and_its_response(
    rig_of: Callable[..., Rig], put: Callable[..., Request], draw: Callable[..., bytes]
) -> None:
    """Garbage may be billed: a run that stops on it keeps it, counts its calls, buries nothing; a rerun sends it."""
    with CardServer(lambda got: Answer(b"<html>")) as server:
        rig = rig_of(server)
        requests = [put(f"{number}.jpg", draw(number)) for number in range(4)]
        started = [rig.start(request) for request in requests]
        results = [one.finish() if isinstance(one, Held) else one for one in started]
        assert len(server.received) == 9
    assert [(result.outcome, result.attempts) for result in results] == [(RequestOutcome.DEFERRED, 3)] * 3 + [
        (RequestOutcome.DEFERRED, 0)
    ]
    reported = sorted((one.uris[0][-5:], one.outcome, one.code, one.attempts, one.response) for one in rig.records)
    assert reported == [(f"{number}.jpg", "deferred", "bad_reply", 3, b"<html>") for number in range(3)]
    assert {one.retriable for one in rig.records} == {True}
    with CardServer(lambda got: ANSWERED) as server:
        again = rig_of(server, run_id="r2")
        assert [again.process(request) for request in requests] == [RequestOutcome.SUCCEEDED] * 4
        assert len(server.received) == 4


@pytest.mark.parametrize("is_outage", [True, False])
def test_duplicates_of_what_is_held_keep_no_thread(
    is_outage: bool, rig_of: Callable[..., Rig], put: Callable[..., Request], draw: Callable[..., bytes]
) -> None:
    """Duplicates of an image that is held are held with it, and share what becomes of it."""
    with CardServer(lambda got: Answer(status=500) if got.key == key_of(draw(0)) else ANSWERED) as server:
        rig = rig_of(server)
        started = [rig.start(put(f"{number}.jpg", draw(0))) for number in range(5)]
        assert [isinstance(one, Held) for one in started] == [True] * 5
        if is_outage:
            rig.sender.nothing_more()
        else:
            rig.process(put("9.jpg", draw(9)))
        outcomes = [one.finish().outcome for one in started if isinstance(one, Held)]
        assert server.calls[key_of(draw(0))] == 3
    assert outcomes == (
        [RequestOutcome.DEFERRED] * 5 if is_outage else [RequestOutcome.DEAD_LETTERED] + [RequestOutcome.DUPLICATE] * 4
    )


def test_what_failed_in_an_earlier_run_is_told_to_the_sender(
    rig_of: Callable[..., Rig], put: Callable[..., Request], draw: Callable[..., bytes]
) -> None:
    """A run over nothing but images that failed before makes dead letters of them and does not stop."""
    with CardServer(lambda got: Answer(status=403)) as server:
        journal = LocalJournal(rig_of(server).folder, "r0")
        for number in range(4):
            failed = failed_record(number, retriable=True, code="http_403", stage="call")
            journal.append(structs.replace(failed, item_id=item_id_of("ekyc/card", [draw(number)])))
        rig = rig_of(server)
        outcomes = [rig.process(put(f"{number}.jpg", draw(number))) for number in range(4)]
    assert outcomes == [RequestOutcome.DEAD_LETTERED] * 4
    assert not rig.sender.is_stopped


def test_a_watch_gives_a_failed_image_out_again_until_it_may_not(
    rig_of: Callable[..., Rig], put: Callable[..., Request], draw: Callable[..., bytes]
) -> None:
    """What fails for now is recorded for a retry; the last time, and what is final, as a dead letter."""
    bad = {key_of(draw(0)): Answer(status=500), key_of(draw(1)): failure("3")}
    with CardServer(lambda got: bad.get(got.key, ANSWERED)) as server:
        rig = rig_of(server, watches=True)
        assert rig.process(put("9.jpg", draw(9))) is RequestOutcome.SUCCEEDED
        requests = [put(f"{number}.jpg", draw(number)) for number in range(2)]
        gone = replace(put("2.jpg", draw(2)), may_retry=True)
        Path(gone.uris[0]).unlink()
        outcomes = [
            rig.process(request, InFlightDuplicates())
            for request in (*(replace(one, may_retry=True) for one in requests), gone)
        ]
        outcomes.append(rig.process(requests[0], InFlightDuplicates()))
    assert outcomes == [
        RequestOutcome.DEFERRED,
        RequestOutcome.DEAD_LETTERED,
        RequestOutcome.DEFERRED,
        RequestOutcome.DEAD_LETTERED,
    ]
    assert [(one.outcome, one.code, one.retriable) for one in rig.records[1:]] == [
        ("retry", "http_500", True),
        ("failed", "error_3", False),
        ("retry", "not_found", True),
        ("failed", "http_500", True),
    ]


def test_retries_of_a_watch_alone_do_not_stop_it(
    rig_of: Callable[..., Rig], put: Callable[..., Request], draw: Callable[..., bytes]
) -> None:
    """A watch that was restarted sends what is due first: images that failed before speak against nobody else."""
    with CardServer(lambda got: Answer(status=400)) as server:
        rig = rig_of(server, watches=True)
        retries = [
            replace(put(f"{number}.jpg", draw(number)), may_retry=True, failed_before="http_400") for number in range(5)
        ]
        outcomes = [rig.process(request) for request in retries]
    assert (outcomes, rig.sender.is_stopped) == ([RequestOutcome.DEFERRED] * 5, False)
    assert [(one.outcome, one.code) for one in rig.records] == [("retry", "http_400")] * 5


def test_a_watch_records_whatever_it_defers(
    rig_of: Callable[..., Rig], put: Callable[..., Request], draw: Callable[..., bytes]
) -> None:
    """In an outage: what was called, what was not, and duplicates, so that each is dispatched again."""
    with CardServer(lambda got: Answer(status=503)) as server:
        rig = rig_of(server, watches=True)
        requests = [put(f"{number}.jpg", draw(min(number, 3))) for number in range(5)]
        started = [rig.start(request) for request in requests]
        outcomes = [(one.finish() if isinstance(one, Held) else one).outcome for one in started]
        assert len(server.received) == 3
    assert outcomes == [RequestOutcome.DEFERRED] * 5
    assert sorted((one.uris[0][-5:], one.outcome, one.attempts) for one in rig.records) == [
        *((f"{number}.jpg", "deferred", 1) for number in range(3)),
        *((f"{number}.jpg", "deferred", 0) for number in (3, 4)),
    ]
    assert not rig.sender.is_stopped


def test_an_ending_says_what_it_waited_for(
    rig_of: Callable[..., Rig], put: Callable[..., Request], jpeg: bytes
) -> None:
    """Of two attempts at one a second: the waits for the rate add up; the first waits for nobody."""
    now_s = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    with CardServer(lambda got: Answer(status=500) if len(server.received) == 1 else ANSWERED) as server:
        rig = rig_of(server)
        rig.sender._throttle = Throttle(0.5, lambda: now_s, sleep)
        result = rig.start(put("a.jpg", jpeg))
    assert isinstance(result, RequestResult)
    assert (result.attempts, result.queued_s) == (2, pytest.approx(0, abs=0.5))
    assert (result.waited_s, result.throttled_s) == (pytest.approx(now_s), pytest.approx(now_s))
    assert 2.0 <= now_s < 2.2


def test_a_run_that_stopped_reads_no_image(
    rig_of: Callable[..., Rig], put: Callable[..., Request], jpeg: bytes
) -> None:
    """What comes after the stop is deferred unread: a file that is gone is no dead letter."""
    request = put("a.jpg", jpeg)
    Path(request.uris[0]).unlink()
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server)
        rig.sender.stop(BUDGET)
        assert (rig.process(request), rig.records, server.received) == (RequestOutcome.DEFERRED, [], [])


class _Store(BaseHTTPRequestHandler):
    """A bucket whose objects are there until `refuses`; then it refuses them all."""

    refuses = False

    def do_HEAD(self) -> None:
        self.send_response(403 if type(self).refuses else 200)
        self.send_header("Content-Length", "0" if type(self).refuses else "7")
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Sun, 29 Nov 2026 12:00:00 GMT")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Store]]:
    """A store on a loopback port, where the environment says that S3 is."""
    handler = type("Handler", (_Store,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "CARDBEAM_STORE_RETRY_S": "0.1",
    }.items():
        monkeypatch.setenv(name, value)
    connect.cache_clear()
    yield handler
    connect.cache_clear()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("code", "outcome", "stopped_by", "recorded"),
    [("2", RequestOutcome.DEFERRED, STORAGE_REFUSED, "deferred"), ("1", RequestOutcome.DEAD_LETTERED, None, "failed")],
)
def test_urls_that_ran_out_with_the_credentials_stop_the_run(
    code: str,
    outcome: RequestOutcome,
    stopped_by: StopReason | None,
    recorded: str,
    bucket: type[_Store],
    rig_of: Callable[..., Rig],
) -> None:
    """The endpoint cannot fetch an image (errorCode 2), and the storage refuses us too: no image's own failure. Any
    other answer is one, whatever the storage says."""

    def answer(got: Received) -> Answer:
        bucket.refuses = len(server.received) > 1
        return failure(code) if bucket.refuses else ANSWERED

    with CardServer(answer) as server:
        rig = rig_of(server, transfer="url")
        first, second = (Request("ekyc/card", (ImageRef(f"s3://bucket/{name}.jpg"),)) for name in "ab")
        assert [rig.process(first), rig.process(second)] == [RequestOutcome.SUCCEEDED, outcome]
    assert rig.stopped_by == stopped_by
    assert [one.outcome for one in rig.records] == ["succeeded", recorded]


def test_a_storage_that_refuses_everything_stops_the_run_and_nothing_dies(
    bucket: type[_Store], rig_of: Callable[..., Rig]
) -> None:
    """What was readable is refused: the run stops with the status of refused credentials, the image is deferred."""
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server, transfer="url")
        requests = [Request("ekyc/card", (ImageRef(f"s3://bucket/{name}.jpg"),)) for name in "abc"]
        outcomes = [rig.process(requests[0])]
        bucket.refuses = True
        outcomes += [rig.process(request) for request in requests[1:]]
        assert len(server.received) == 1
    assert outcomes == [RequestOutcome.SUCCEEDED, RequestOutcome.DEFERRED, RequestOutcome.DEFERRED]
    assert (rig.stopped_by, [one.outcome for one in rig.records]) == (STORAGE_REFUSED, ["succeeded"])
