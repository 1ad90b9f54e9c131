"""Sending: retries behind the throttle, and what ends the sending of a whole run, against a real server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from cardbeam.calls.sender import Sender, SendResult, Verdict
from cardbeam.http.body import ImagePayload
from cardbeam.http.card_client import CardClient, FreePermit, Permit
from cardbeam.http.response import CallResult
from cardbeam.http.retry import RetryPolicy
from cardbeam.ratelimit.budgets.allowance import Allowance
from cardbeam.ratelimit.budgets.call_budget import of_one
from cardbeam.ratelimit.envoy import NotAllowed
from cardbeam.ratelimit.throttle import Throttle
from cardbeam.run_state.layout import run_file
from cardbeam.run_state.stop_signal import BUDGET, STOP_FILE, StopReason, StopSignal, read_stop, suspects
from cardbeam.storage.folder import LocalFolder
from schemas.outcomes import OUTCOMES, outcome_of_status
from tests.servers import Answer, CardServer, InjectedFault, failure, success
from tests.wire import Received, key_of

ANSWERED = success(("passport", {"id": "B0000001"}))
BUSY = Answer(status=503)


@dataclass
class Rig:
    """A sender against a server, on a clock that sleeping moves."""

    server: CardServer
    folder: LocalFolder
    open_client: Callable[..., CardClient]
    max_calls: int = 0
    ask: Callable[[], None] = lambda: None
    check: Callable[[], None] = lambda: None
    now_s: float = 0.0
    slept_s: list[float] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sender = Sender(
            self.open_client(self.server.base_url),
            Throttle(0, lambda: self.now_s, self._pass, ask=self.ask),
            StopSignal(self.folder, "r1"),
            RetryPolicy(5, 600.0),
            jitter=lambda: 1.0,
            sleep=self._sleep,
            allowance=Allowance(of_one(self.max_calls)) if self.max_calls else None,
            check=self.check,
            clock=lambda: self.now_s,
            **self.options,
        )

    def _pass(self, seconds: float) -> None:
        self.now_s += seconds
        assert self.now_s < 100_000, "what is waited for never comes"

    def _sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self._pass(seconds)

    def deliver(self, number: int = 0, failed_before: Callable[[], str] = lambda: "") -> SendResult:
        """One request; each number is another image."""
        images = [ImagePayload(str(number).encode(), "image/jpeg")]
        return self.sender.send("ekyc/card", images, str(number), failed_before)

    def send(self, number: int = 0) -> tuple[str, int] | str:
        """The outcome and the attempts of one request, or that it was deferred, or that it is held."""
        sent = self.deliver(number)
        if isinstance(sent.verdict, Future):
            return "held"
        if sent.verdict is Verdict.DEFERRED:
            return "deferred"
        assert sent.result is not None
        return sent.result.outcome.code, sent.attempts

    @property
    def stopped_by(self) -> StopReason | None:
        return read_stop(self.folder, run_file("r1", STOP_FILE))


@pytest.fixture
def rig_of(tmp_path: Path, client_of: Callable[..., CardClient]) -> Callable[..., Rig]:
    """A function (server, options) -> Rig."""
    return lambda server, **options: Rig(server, LocalFolder(str(tmp_path)), client_of, **options)


def in_turn(*answers: Answer) -> Callable[[Received], Answer]:
    """Answers one after the other, the last for ever."""
    left = list(answers)
    return lambda got: left.pop(0) if len(left) > 1 else left[0]


def test_a_stop_that_could_not_be_written_is_pulled_again(rig_of: Callable[..., Rig]) -> None:
    """Nobody stops without a word: who meets the reason next writes it."""
    with CardServer(in_turn(failure("4"))) as server:
        rig = rig_of(server)
        there = Path(rig.folder.root, "runs")
        there.write_bytes(b"")  # a file where the folder is to be
        with pytest.raises(NotADirectoryError):
            rig.send()
        there.unlink()
        assert rig.send() == "deferred"
        assert rig.send() == "deferred"
        assert (rig.stopped_by and rig.stopped_by.status, len(server.received)) == ("out_of_requests", 2)


def test_a_request_is_sent_until_it_is_settled(rig_of: Callable[..., Rig]) -> None:
    """What passes is asked again after its wait; the last attempt comes back with the number of all."""
    with CardServer(in_turn(Answer(status=500), Answer(status=502), ANSWERED)) as server:
        rig = rig_of(server)
        assert rig.send() == ("succeeded", 3)
        assert (rig.slept_s, len(server.received), rig.stopped_by) == ([0.5, 1.0], 3, None)


def test_what_does_not_pass_is_held_until_another_image_is_answered(rig_of: Callable[..., Rig]) -> None:
    """After the last attempt the outcome is the image's own once the endpoint answers another; all attempts count."""
    with CardServer(in_turn(ANSWERED, *[Answer(status=500)] * 5, ANSWERED)) as server:
        rig = rig_of(server)
        rig.send(0)
        failed = rig.deliver(1)
        assert isinstance(failed.verdict, Future)
        was_done = failed.verdict.done()
        assert rig.send(2) == ("succeeded", 1)
        assert (was_done, failed.verdict.result(0), failed.attempts) == (False, Verdict.OWN, 5)
    assert failed.result is not None and failed.result.outcome == outcome_of_status(500)


@pytest.mark.parametrize(("retry_after", "held_s"), [("7", 7.0), ("86400", 60.0), (None, 0.5), ("0", 0.5)])
def test_being_too_fast_holds_everyone(retry_after: str | None, held_s: float, rig_of: Callable[..., Rig]) -> None:
    """429 holds the throttle of the whole worker as long as it says, half a second at least, a minute at the most."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    with CardServer(in_turn(ANSWERED, Answer(status=429, headers=headers), ANSWERED)) as server:
        rig = rig_of(server)
        rig.send()
        rig.sender._sleep = lambda _: None  # the request's own wait takes no time here: the throttle's is seen alone
        started_s = rig.now_s
        assert rig.send() == ("succeeded", 2)
        assert rig.now_s - started_s == pytest.approx(held_s, abs=0.1)


REDIRECT = Answer(status=302, headers={"Location": "/elsewhere"})


@pytest.mark.parametrize(
    ("answer", "status", "exit_status", "code", "attempts"),
    [
        (failure("5"), "refused", 5, "error_5", 1),
        (Answer(status=401), "refused", 5, "http_401", 1),
        (Answer(status=403), "refused", 5, "http_403", 1),
        (failure("6"), "failed", 2, "error_6", 1),
        (Answer(status=404), "failed", 2, "http_404", 1),
        (REDIRECT, "failed", 2, "http_302", 1),
        (BUSY, "unavailable", 4, "http_503", 5),
        (Answer(b"<html>"), "unavailable", 4, "bad_reply", 3),
    ],
)
def test_what_three_images_meet_before_the_first_answer_stops_the_run(
    answer: Answer, status: str, exit_status: int, code: str, attempts: int, rig_of: Callable[..., Rig]
) -> None:
    """The three are deferred, nothing more is sent, and the reason stands in the run's folder."""
    with CardServer(lambda got: answer) as server:
        rig = rig_of(server)
        deliveries = [rig.deliver(number) for number in range(5)]
        assert len(server.received) == 3 * attempts
    verdicts = [one.verdict.result(0) if isinstance(one.verdict, Future) else one.verdict for one in deliveries]
    assert verdicts == [Verdict.DEFERRED] * 5
    assert [one.attempts for one in deliveries] == [attempts] * 3 + [0] * 2
    reason = rig.stopped_by
    assert rig.sender.is_stopped and reason is not None
    assert (reason.status, reason.exit_status, reason.code) == (status, exit_status, code)


@pytest.mark.parametrize("image", [0, 1])
@pytest.mark.parametrize(("answer", "status"), [(failure("5"), "refused"), (BUSY, "unavailable"), (REDIRECT, "failed")])
def test_what_all_images_there_are_meet_stops_the_run(
    answer: Answer, status: str, image: int, rig_of: Callable[..., Rig]
) -> None:
    """Where one or two images are all there are, they are deferred; not failed, and the run not complete."""
    with CardServer(lambda got: answer) as server:
        rig = rig_of(server)
        deliveries = [rig.deliver(number) for number in range(image + 1)]
        rig.sender.nothing_more()
    assert [isinstance(one.verdict, Future) and one.verdict.result(0) for one in deliveries] == [Verdict.DEFERRED] * (
        image + 1
    )
    assert rig.stopped_by is not None and rig.stopped_by.status == status


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (failure("6"), "error_6"),
        (Answer(status=403), "http_403"),
        (BUSY, "http_503"),
        (Answer(fault=InjectedFault.RESET), "timeout"),
    ],
)
def test_images_that_failed_in_an_earlier_run_stop_nothing(
    answer: Answer, code: str, rig_of: Callable[..., Rig]
) -> None:
    """However many there are, and where no other comes: the failures are their own."""
    with CardServer(lambda got: answer) as server:
        rig = rig_of(server)
        deliveries = [rig.deliver(number, lambda: code) for number in range(4)]
        rig.sender.nothing_more()
    assert [isinstance(one.verdict, Future) and one.verdict.result(0) for one in deliveries] == [Verdict.UNKNOWN] * 4
    assert rig.stopped_by is None


def test_images_that_stopped_the_last_run_let_the_others_by(rig_of: Callable[..., Rig]) -> None:
    """Four images at the head of a listing always fail: the first run stops on three of them, the next comes past."""
    bad = {key_of(str(number).encode()) for number in range(4)}
    with CardServer(lambda got: Answer(status=500) if got.key in bad else ANSWERED) as server:
        first = rig_of(server)
        assert [first.send(number) for number in range(5)] == ["held", "held", *["deferred"] * 3]
        assert first.stopped_by is not None and first.stopped_by.images == ("0", "1", "2")
        again = rig_of(server, options={"suspects": suspects(first.folder, "r2")})
        deliveries = [again.deliver(number) for number in range(5)]
    verdicts = [one.verdict.result(0) if isinstance(one.verdict, Future) else one.verdict for one in deliveries]
    assert verdicts == [Verdict.OWN] * 5


def test_an_outage_that_stopped_the_last_run_stops_the_next(rig_of: Callable[..., Rig]) -> None:
    """Where the images that stopped it are all there are, they are deferred again."""
    with CardServer(lambda got: BUSY) as server:
        for run in range(3):
            rig = rig_of(server, options={"suspects": frozenset("01")})
            deliveries = [rig.deliver(number) for number in range(2)]
            rig.sender.nothing_more()
            verdicts = [one.verdict.result(0) for one in deliveries if isinstance(one.verdict, Future)]
            assert (run, verdicts) == (run, [Verdict.DEFERRED] * 2)
            assert rig.stopped_by is not None and set(rig.stopped_by.images) == {"0", "1"}


def test_a_damaged_reason_of_another_run_is_passed_over(tmp_path: Path) -> None:
    folder = LocalFolder(str(tmp_path))
    StopSignal(folder, "r1").set(replace(BUDGET, images=("a", "b")))
    folder.write(run_file("r2", STOP_FILE), b"{")
    StopSignal(folder, "r3").set(replace(BUDGET, images=("c",)))
    assert [suspects(folder, run) for run in ("r3", "r4")] == [{"a", "b"}, {"a", "b", "c"}]


def test_another_worker_s_answer_tells_that_the_endpoint_is_there(rig_of: Callable[..., Rig]) -> None:
    """The only image of this worker failed, and another worker was answered: the failure is the image's own."""
    with CardServer(lambda got: Answer(status=403)) as server:
        rig = rig_of(server, options={"others_answered": lambda: True})
        sent = rig.deliver()
        rig.sender.nothing_more()
    assert isinstance(sent.verdict, Future) and sent.verdict.result(0) is Verdict.UNKNOWN
    assert rig.stopped_by is None


def test_the_first_answer_is_told_to_the_others_once(rig_of: Callable[..., Rig]) -> None:
    message: list[str] = []
    with CardServer(in_turn(ANSWERED, BUSY, ANSWERED)) as server:
        rig = rig_of(server, options={"first_answered": lambda: message.append("succeeded")})
        for number in range(3):
            rig.send(number)
    assert message == ["succeeded"]


@pytest.mark.parametrize("number", [0, 1000])
def test_an_empty_account_stops_a_run_at_any_time(number: int, rig_of: Callable[..., Rig]) -> None:
    """One errorCode 4 does, before the first answer and after it; what was held is deferred."""
    with CardServer(lambda got: failure("4") if got.key == key_of(b"9") else ANSWERED) as server:
        rig = rig_of(server)
        sent = [rig.send(one) for one in ((9, 1) if not number else (1, 9, 1))]
        assert len(server.received) == len(sent) - 1
    assert sent == [*[("succeeded", 1)] * (len(sent) - 2), "deferred", "deferred"]
    assert rig.stopped_by is not None and (rig.stopped_by.status, rig.stopped_by.exit_status) == ("out_of_requests", 3)


@pytest.mark.parametrize(
    "bad", [Answer(status=400), Answer(status=403), failure("5"), failure("6"), Answer(fault=InjectedFault.RESET), BUSY]
)
def test_one_bad_image_does_not_stop_a_run(bad: Answer, rig_of: Callable[..., Rig]) -> None:
    """First, last, or again and again: as long as other images are answered between, each failure is its own."""
    with CardServer(lambda got: bad if got.key == key_of(b"0") else ANSWERED) as server:
        rig = rig_of(server)
        deliveries = [rig.deliver(number % 2 * number) for number in range(40)]
    verdicts = [one.verdict.result(0) for one in deliveries if isinstance(one.verdict, Future)]
    assert verdicts == [Verdict.OWN] * 20
    assert rig.stopped_by is None


def test_an_endpoint_that_is_not_there_stops_the_run(rig_of: Callable[..., Rig]) -> None:
    """If three images find nobody in all their attempts, the run ends as unavailable; nothing has failed."""
    with CardServer(lambda got: ANSWERED) as server:
        pass
    rig = rig_of(server)
    assert [rig.send(number) for number in range(4)] == ["held", "held", "deferred", "deferred"]
    assert len(rig.slept_s) == 12
    assert rig.stopped_by == StopReason(
        "unavailable",
        4,
        "unreachable",
        "No connection to the endpoint could be opened: the endpoint is unavailable; "
        "check --endpoint_url, then rerun the same command",
        ("0", "1", "2"),
    )


def test_an_outage_stops_a_run_after_ten_images_and_three_more(
    rig_of: Callable[..., Rig], caplog: pytest.LogCaptureFixture
) -> None:
    """All thirteen are deferred; the outage is one line of the log."""
    with CardServer(lambda got: ANSWERED if got.key == key_of(b"0") else Answer(status=500)) as server:
        rig = rig_of(server)
        rig.send(0)
        deliveries = [rig.deliver(number) for number in range(1, 16)]
        assert len(server.received) == 1 + 13 * 5
    verdicts = [one.verdict.result(0) if isinstance(one.verdict, Future) else one.verdict for one in deliveries]
    assert verdicts == [Verdict.DEFERRED] * 15
    assert rig.stopped_by is not None and rig.stopped_by.status == "unavailable"
    assert caplog.messages == ["the endpoint does not answer (http_500): one request at a time until it does"]


def test_an_outage_that_ends_stops_nothing(rig_of: Callable[..., Rig], caplog: pytest.LogCaptureFixture) -> None:
    """Its begin and its end are a line of the log each."""
    with CardServer(in_turn(ANSWERED, *[Answer(status=500)] * (11 * 5), ANSWERED)) as server:
        rig = rig_of(server)
        assert [rig.send(number) for number in range(14)] == [
            ("succeeded", 1),
            *["held"] * 11,
            ("succeeded", 1),
            ("succeeded", 1),
        ]
    assert caplog.messages == [
        "the endpoint does not answer (http_500): one request at a time until it does",
        "the endpoint answers again, after 14 s",
    ]
    assert rig.stopped_by is None


def test_a_watch_pauses_in_an_outage_and_stops_nothing(rig_of: Callable[..., Rig]) -> None:
    """A probe is one attempt; after three images nothing is sent within a second, then one attempt, until an answer."""
    with CardServer(in_turn(*[BUSY] * 5, ANSWERED)) as server:
        rig = rig_of(server, options={"pauses": True})
        rig.sender._throttle = Throttle(0, lambda: rig.now_s, rig._pass)
        sent, calls = [], []
        for number, pause_s in enumerate([0.0, 0.0, 0.0, 0.0, 1.1, 0.5, 1.1, 0.0, 1.1, 0.0]):
            rig.now_s += pause_s
            sent.append(rig.send(number))
            calls.append(len(server.received))
    assert sent == ["held", "held", *["deferred"] * 6, ("succeeded", 1), ("succeeded", 1)]
    assert calls == [1, 2, 3, 3, 4, 4, 5, 5, 6, 7]
    assert rig.stopped_by is None


def test_refused_credentials_stop_a_watch_in_an_outage_too(rig_of: Callable[..., Rig]) -> None:
    """Three different images that are refused do, and no image alone however often."""
    with CardServer(in_turn(*[BUSY] * 3, Answer(status=401))) as server:
        rig = rig_of(server, options={"pauses": True})
        for number in (0, 1, 2, 3, 3, 3, 3):
            rig.send(number)
            rig.now_s += 60.0
        assert rig.stopped_by is None
        for number in (4, 5):
            rig.send(number)
            rig.now_s += 60.0
    assert rig.stopped_by is not None and rig.stopped_by.exit_status == 5


def test_the_budget_counts_every_attempt(rig_of: Callable[..., Rig]) -> None:
    """With four calls allowed, an answer after two retries and one more answer are all that is sent."""
    with CardServer(in_turn(BUSY, BUSY, ANSWERED)) as server:
        rig = rig_of(server, max_calls=4)
        assert [rig.send() for _ in range(4)] == [("succeeded", 3), ("succeeded", 1), "deferred", "deferred"]
        assert len(server.received) == 4
    assert rig.stopped_by == BUDGET


def test_a_call_that_a_rate_service_kept_from_being_made_is_not_of_the_budget(rig_of: Callable[..., Rig]) -> None:
    """The service fails once; the one call that is allowed is made after that."""
    answers = iter([NotAllowed("no answer")])

    def ask() -> None:
        if (error := next(answers, None)) is not None:
            raise error

    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server, max_calls=1, ask=ask)
        with pytest.raises(NotAllowed):
            rig.send()
        assert rig.send() == ("succeeded", 1)


def test_nothing_is_sent_whose_answer_could_not_be_kept(rig_of: Callable[..., Rig]) -> None:
    """It is checked when all else is there, right before a request is sent: its call is given back to the budget."""
    faults = iter([None, OSError(28, "No space left on device")])

    def check() -> None:
        if (error := next(faults, None)) is not None:
            raise error

    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server, max_calls=2, check=check)
        assert rig.send() == ("succeeded", 1)
        with pytest.raises(OSError, match="No space left on device"):
            rig.send()
        assert (len(server.received), rig.stopped_by) == (1, None)
        assert rig.send() == ("succeeded", 1)


def test_a_budget_that_suffices_stops_nothing(rig_of: Callable[..., Rig]) -> None:
    """As many calls as are allowed may be made without a stop."""
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server, max_calls=3)
        assert [rig.send() for _ in range(3)] == [("succeeded", 1)] * 3
    assert rig.stopped_by is None


@pytest.mark.parametrize(("first", "sent"), [(ANSWERED, 12), (failure("4"), 1)])
def test_the_first_request_goes_alone(first: Answer, sent: int, rig_of: Callable[..., Rig]) -> None:
    """Of many that come at once one goes ahead; the others follow if it was answered, and stay if the run stops."""
    is_first = threading.Semaphore(1)
    alone: list[int] = []

    def answer(got: Received) -> Answer:
        if is_first.acquire(blocking=False):
            others_came.wait(30)
            alone.append(len(server.received))
            return first
        return ANSWERED

    others_came = threading.Barrier(13)
    with CardServer(answer) as server, ThreadPoolExecutor(12) as threads:
        rig = rig_of(server)

        def send(number: int) -> object:
            if number:
                others_came.wait(30)
            return rig.send(number)

        sending = [threads.submit(send, number) for number in range(12)]
        others_came.wait(30)
        outcomes = [one.result() for one in sending]
        assert (alone, len(server.received)) == ([1], sent)
    assert outcomes == [("succeeded", 1) if sent > 1 else "deferred"] * 12


def test_one_request_is_in_flight_in_an_outage(rig_of: Callable[..., Rig]) -> None:
    """Of sixteen threads that fail together one sends at a time from then on, with all its attempts, until three images
    failed. The one that was the tenth to fail counts for none of them, and may have its turn before."""
    batched, failed = threading.Barrier(16), threading.Barrier(16)
    waits = iter([lambda: failed.wait(30)] * 16)
    lock = threading.Lock()
    in_flight, most = 0, []

    def answer(got: Received) -> Answer:
        nonlocal in_flight
        number = int(got.images[0].content)
        if number == 99:
            return ANSWERED
        if server.calls[got.key] == 1:
            batched.wait(30)
            return Answer(status=500)
        with lock:
            in_flight += 1
            most.append(in_flight)
        time.sleep(0.005)
        with lock:
            in_flight -= 1
        return Answer(status=500)

    with CardServer(answer) as server, ThreadPoolExecutor(16) as threads:
        rig = rig_of(server)
        rig.sender._sleep = lambda _: next(waits, bool)()
        rig.send(99)
        deliveries = list(threads.map(rig.deliver, range(16)))
        tenth = rig.sender._breaker._last_in_a_row
        attempts = sorted(one.attempts for number, one in enumerate(deliveries) if str(number) != tenth)
    assert (set(most), attempts) == ({1}, [1] * 12 + [5] * 3)
    verdicts = [one.verdict.result(0) if isinstance(one.verdict, Future) else one.verdict for one in deliveries]
    assert verdicts == [Verdict.DEFERRED] * 16
    assert rig.stopped_by is not None and rig.stopped_by.status == "unavailable"


def test_a_delivery_has_the_last_attempt(rig_of: Callable[..., Rig]) -> None:
    """The delivery is of the last attempt: its status, its body, its outcome; and the waits of all."""
    with CardServer(in_turn(ANSWERED, Answer(b"no", 500))) as server:
        rig = rig_of(server)
        good, bad = (rig.deliver(number) for number in range(2))
    assert good.result is not None and bad.result is not None
    assert (good.result.outcome, good.result.status, good.result.body) == (OUTCOMES["succeeded"], 200, ANSWERED.body)
    assert (bad.result.outcome, bad.result.status, bad.result.body) == (outcome_of_status(500), 500, None)
    assert (len(good.waits), len(bad.waits)) == (1, 5)


def test_a_request_says_how_long_it_waited_for_a_connection(rig_of: Callable[..., Rig]) -> None:
    """With one connection the second of two requests waits exactly as long as the first takes."""
    first_came, may_go = threading.Event(), threading.Event()

    def answer(got: Received) -> Answer:
        first_came.set()
        may_go.wait(30)
        return ANSWERED

    with CardServer(answer) as server, ThreadPoolExecutor(2) as threads:
        rig = rig_of(server, now_s=5.0, options={"calls": lambda: 1})
        first = threads.submit(rig.deliver, 0)
        first_came.wait(30)
        second = threads.submit(rig.deliver, 1)
        while rig.sender._in_flight._change._waiters == ():  # type: ignore[attr-defined]  # until the second waits
            time.sleep(0.001)
        rig.now_s += 7.0
        may_go.set()
        assert [first.result(30).queued_s, second.result(30).queued_s] == [0.0, 7.0]


def test_as_many_calls_are_in_flight_as_are_allowed(rig_of: Callable[..., Rig]) -> None:
    """With three allowed, sixteen threads have three in flight at the endpoint, never four."""
    lock, in_flight, most = threading.Lock(), 0, 0

    def answer(got: Received) -> Answer:
        nonlocal in_flight, most
        with lock:
            in_flight += 1
            most = max(most, in_flight)
        time.sleep(0.01)
        with lock:
            in_flight -= 1
        return ANSWERED

    with CardServer(answer) as server, ThreadPoolExecutor(16) as threads:
        rig = rig_of(server, options={"calls": lambda: 3})
        assert list(threads.map(rig.send, range(40))) == [("succeeded", 1)] * 40
    assert most == 3


def test_a_call_that_raises_gives_its_connection_back(rig_of: Callable[..., Rig]) -> None:
    """With one connection three requests go through, though the first could not be admitted."""
    answers = iter([NotAllowed("no answer")])

    def ask() -> None:
        if (error := next(answers, None)) is not None:
            raise error

    with CardServer(lambda got: ANSWERED) as server, ThreadPoolExecutor(1) as threads:
        rig = rig_of(server, ask=ask, options={"calls": lambda: 1})
        with pytest.raises(NotAllowed):
            rig.send()
        sent = [threads.submit(rig.send, number).result(30) for number in range(3)]
    assert sent == [("succeeded", 1)] * 3


def throttled(rig: Rig, rate_per_s: float) -> Throttle:
    """The sender's throttle, at a rate."""
    rig.sender._throttle = Throttle(rate_per_s, lambda: rig.now_s, rig._pass)
    return rig.sender._throttle


class Unsent(CardClient):
    """A client whose connections are lost after the permit, before a byte of the request has left."""

    def __init__(self) -> None:
        self.admitted = 0

    def call(self, operation: str, images: Sequence[ImagePayload], permit: Permit | None = None) -> CallResult:
        (permit or FreePermit()).acquire()
        self.admitted += 1
        return CallResult(OUTCOMES["connection"])


def test_a_call_that_was_not_sent_gives_its_permit_back(rig_of: Callable[..., Rig]) -> None:
    """After as many lost connections as the quota has slots, the next permit comes a window later, not never."""
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server)
    rig.sender._policy, rig.sender._client = RetryPolicy(1, 600.0), Unsent()
    throttled(rig, 2.0)
    for number in range(2):
        rig.send(number)
    before_s = rig.now_s
    rig.send(2)
    assert 0 < rig.now_s - before_s < 1.1


@pytest.mark.parametrize("is_permitted", [True, False])
def test_a_stop_while_a_request_waits_for_the_rate_gives_permit_and_budget_back(
    is_permitted: bool, rig_of: Callable[..., Rig]
) -> None:
    """It is not sent, whether the stop comes before its permit or right behind it: the budget has as many calls left
    as before, and the rate its slot."""
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server, max_calls=3)
        throttle = throttled(rig, 1.0)
        assert rig.send() == ("succeeded", 1)
        if is_permitted:
            throttle._ask = lambda: rig.sender.stop(BUDGET)
        else:
            throttle._sleep = lambda _: rig.sender.stop(BUDGET)
        assert rig.send() == "deferred"
        assert len(server.received) == 1
        budget = rig.sender._allowance._calls
        assert [budget.acquire() for _ in range(3)] == [True, True, False]
    throttle._sleep, throttle._ask = rig._pass, lambda: None
    began_s = rig.now_s
    throttle.wait(lambda: rig.now_s > began_s + 10)
    assert rig.now_s - began_s < 1.1


def test_a_wait_for_a_retry_ends_with_the_run(rig_of: Callable[..., Rig]) -> None:
    """Who waits to send again when the run stops sends nothing more, and says what was sent."""
    with CardServer(lambda got: BUSY) as server:
        rig = rig_of(server)
        rig.sender._sleep = lambda _: rig.sender.stop(BUDGET)
        sent = rig.deliver()
        assert len(server.received) == 1
    assert (sent.verdict, sent.attempts) == (Verdict.DEFERRED, 1)
    assert sent.result is not None and sent.result.outcome == outcome_of_status(503)
