"""Sending: retries behind the throttle, and what ends the sending of a whole run, against a real server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from schemas.outcomes import OUTCOMES, outcome_of_status
from tests.servers import Answer, CardServer, Received, failure, success
from transforms.budget import of_one
from transforms.card_client import CardClient, Sent
from transforms.layout import run_file
from transforms.rate_service import NotAllowed
from transforms.retry import RetryPolicy
from transforms.send import Sender, Stopped
from transforms.stop import BUDGET, STOP_FILE, UNREACHABLE, StopReason, StopSwitch, read_stop
from transforms.storage import LocalFolder
from transforms.throttle import Throttle

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

    def __post_init__(self) -> None:
        self.sender = Sender(
            self.open_client(self.server.base_url),
            Throttle(0, lambda: self.now_s, self._pass, ask=self.ask),
            StopSwitch(self.folder, "r1"),
            RetryPolicy(5, 600.0),
            jitter=lambda: 1.0,
            sleep=self._sleep,
            budget=of_one(self.max_calls) if self.max_calls else None,
            check=self.check,
        )

    def _pass(self, seconds: float) -> None:
        self.now_s += seconds

    def _sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self._pass(seconds)

    def send(self, number: int = 0) -> tuple[str, int] | str:
        """The outcome and the attempts of one request, or that it was stopped."""
        try:
            delivery = self.sender.send("ekyc/card", [Sent(str(number).encode(), "image/jpeg")])
        except Stopped:
            return "stopped"
        return delivery.attempt.outcome.code, delivery.attempts

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
        assert rig.send() == "stopped"
        assert rig.send() == "stopped"
        assert (rig.stopped_by and rig.stopped_by.status, len(server.received)) == ("out_of_requests", 2)


def test_a_request_is_sent_until_it_is_settled(rig_of: Callable[..., Rig]) -> None:
    """What passes is asked again after its wait; the last attempt comes back with the number of all."""
    with CardServer(in_turn(Answer(status=500), Answer(status=502), ANSWERED)) as server:
        rig = rig_of(server)
        assert rig.send() == ("answered", 3)
        assert (rig.slept_s, len(server.received), rig.stopped_by) == ([0.5, 1.0], 3, None)


def test_what_does_not_pass_is_delivered_after_all_attempts(rig_of: Callable[..., Rig]) -> None:
    """After the last attempt the outcome is the request's own, and others are still sent."""
    with CardServer(in_turn(*[Answer(status=500)] * 5, ANSWERED)) as server:
        rig = rig_of(server)
        assert [rig.send(), rig.send()] == [("http_500", 5), ("answered", 1)]


@pytest.mark.parametrize(("retry_after", "held_s"), [("7", 7.0), ("86400", 60.0), (None, 0.5), ("0", 0.5)])
def test_being_too_fast_holds_everyone(retry_after: str | None, held_s: float, rig_of: Callable[..., Rig]) -> None:
    """429 holds the throttle of the whole worker as long as it says, half a second at least, a minute at the most."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    with CardServer(in_turn(ANSWERED, Answer(status=429, headers=headers), ANSWERED)) as server:
        rig = rig_of(server)
        rig.send()
        rig.sender._sleep = lambda _: None  # the request's own wait takes no time here: the throttle's is seen alone
        started_s = rig.now_s
        assert rig.send() == ("answered", 2)
        assert rig.now_s - started_s == pytest.approx(held_s, abs=0.1)


@pytest.mark.parametrize(
    ("answer", "status", "exit_status", "code"),
    [
        (failure("4"), "out_of_requests", 3, "error_4"),
        (failure("5"), "failed", 5, "error_5"),
        (Answer(status=401), "failed", 5, "http_401"),
        (Answer(status=403), "failed", 5, "http_403"),
        (failure("6"), "failed", 2, "error_6"),
        (Answer(status=404), "failed", 2, "http_404"),
        (Answer(status=302, headers={"Location": "/elsewhere"}), "failed", 2, "http_302"),
    ],
)
def test_what_concerns_every_request_stops_the_run(
    answer: Answer, status: str, exit_status: int, code: str, rig_of: Callable[..., Rig]
) -> None:
    """One such reply to the first request, and nothing more is sent; the reason stands in the run's folder."""
    with CardServer(lambda got: answer) as server:
        rig = rig_of(server)
        assert [rig.send(), rig.send()] == ["stopped", "stopped"]
        reason = rig.stopped_by
        assert len(server.received) == 1
    assert rig.sender.is_stopped
    assert reason is not None
    assert (reason.status, reason.exit_status, reason.code) == (status, exit_status, code)


@pytest.mark.parametrize("answer", [failure("4"), failure("5"), Answer(status=401)])
def test_an_empty_account_stops_a_run_at_any_time(answer: Answer, rig_of: Callable[..., Rig]) -> None:
    """What concerns every request does so after a thousand good answers too."""
    with CardServer(in_turn(ANSWERED, answer)) as server:
        rig = rig_of(server)
        assert [rig.send(), rig.send(), rig.send()] == [("answered", 1), "stopped", "stopped"]
        assert len(server.received) == 2


def test_one_bad_picture_does_not_stop_a_run(rig_of: Callable[..., Rig]) -> None:
    """Once something was settled, a lone 400 is that picture's matter; three in a row are everyone's."""
    bad = Answer(status=400)
    with CardServer(in_turn(ANSWERED, bad, bad, ANSWERED, bad, bad, bad)) as server:
        rig = rig_of(server)
        sent = [rig.send() for _ in range(8)]
        assert len(server.received) == 7
    assert sent == [("answered", 1), *[("http_400", 1)] * 2, ("answered", 1), *[("http_400", 1)] * 2, *["stopped"] * 2]
    assert rig.stopped_by is not None and rig.stopped_by.exit_status == 2


def test_an_endpoint_that_is_not_there_stops_the_run(rig_of: Callable[..., Rig]) -> None:
    """If the first request finds nobody in all its attempts, the run ends; nothing is dead."""
    with CardServer(lambda got: ANSWERED) as server:
        pass
    rig = rig_of(server)
    assert [rig.send(), rig.send()] == ["stopped", "stopped"]
    assert (rig.stopped_by, len(rig.slept_s)) == (UNREACHABLE, 4)


def test_an_endpoint_that_goes_away_kills_no_run(rig_of: Callable[..., Rig]) -> None:
    """After an answer, a request that finds nobody is dead for now, and the run goes on."""
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server)
        rig.send()
    assert rig.send() == ("unreachable", 5)
    assert rig.stopped_by is None


def test_the_budget_counts_every_attempt(rig_of: Callable[..., Rig]) -> None:
    """With four calls allowed, an answer after two retries and one more answer are all that is sent."""
    with CardServer(in_turn(BUSY, BUSY, ANSWERED)) as server:
        rig = rig_of(server, max_calls=4)
        assert [rig.send() for _ in range(4)] == [("answered", 3), ("answered", 1), "stopped", "stopped"]
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
        assert rig.send() == ("answered", 1)


def test_nothing_is_sent_whose_answer_could_not_be_kept(rig_of: Callable[..., Rig]) -> None:
    """It is looked at when all else is there, right before a request is sent: its call is given back to the budget."""
    faults = iter([None, OSError(28, "No space left on device")])

    def check() -> None:
        if (error := next(faults, None)) is not None:
            raise error

    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server, max_calls=2, check=check)
        assert rig.send() == ("answered", 1)
        with pytest.raises(OSError, match="No space left on device"):
            rig.send()
        assert (len(server.received), rig.stopped_by) == (1, None)
        assert rig.send() == ("answered", 1)


def test_a_budget_that_suffices_stops_nothing(rig_of: Callable[..., Rig]) -> None:
    """As many calls as are allowed may be made without a stop."""
    with CardServer(lambda got: ANSWERED) as server:
        rig = rig_of(server, max_calls=3)
        assert [rig.send() for _ in range(3)] == [("answered", 1)] * 3
    assert rig.stopped_by is None


@pytest.mark.parametrize(("first", "sent"), [(ANSWERED, 12), (failure("5"), 1)])
def test_the_first_request_goes_alone(first: Answer, sent: int, rig_of: Callable[..., Rig]) -> None:
    """Of many that come at once one goes ahead; the others follow if it was answered, and stay if it was refused."""
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
    assert outcomes == [("answered", 1) if sent > 1 else "stopped"] * 12


def test_a_delivery_has_the_last_attempt(rig_of: Callable[..., Rig]) -> None:
    """The delivery is of the last attempt: its status, its body, its outcome; and the waits of all."""
    with CardServer(in_turn(ANSWERED, Answer(b"no", 500))) as server:
        rig = rig_of(server)
        good, bad = (rig.sender.send("ekyc/card", [Sent(b"x", "image/jpeg")]) for _ in range(2))
    assert (good.attempt.outcome, good.attempt.status, good.attempt.body) == (OUTCOMES["answered"], 200, ANSWERED.body)
    assert (bad.attempt.outcome, bad.attempt.status, bad.attempt.body) == (outcome_of_status(500), 500, None)
    assert (len(good.waits), len(bad.waits)) == (1, 5)
