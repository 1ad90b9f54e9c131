"""What one worker hears from the endpoint holds every worker of the run, once, and no longer than it was said."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardbeam.calls.sender import Sender
from cardbeam.http.body import ImagePayload
from cardbeam.http.card_client import CardClient, Credentials
from cardbeam.http.retry import RetryPolicy
from cardbeam.ratelimit.shared_hold import SharedHold
from cardbeam.ratelimit.throttle import Throttle
from cardbeam.run_state.stop_signal import StopSignal
from cardbeam.storage.folder import LocalFolder
from tests.servers import Answer, CardServer, failure


class Clock:
    """A clock that sleeping moves."""

    now_s = 100.0

    def read(self) -> float:
        """Now."""
        return self.now_s

    def sleep(self, seconds: float) -> None:
        """Move on."""
        self.now_s += seconds

    def waited_s(self, throttle: Throttle) -> float:
        """How long the next permission takes."""
        began_s = self.now_s
        throttle.wait().release()
        return round(self.now_s - began_s, 1)


@pytest.mark.parametrize("is_overload", [True, False])
def test_all_workers_hold(tmp_path: Path, is_overload: bool) -> None:
    clock, folder = Clock(), LocalFolder(str(tmp_path))
    throttles = [Throttle(1000, clock.read, clock.sleep) for _ in range(2)]
    holds = [SharedHold(folder, "r", one, is_shared=True, clock=clock.read) for one in throttles]
    holds[0].tell(5.0, is_overload=is_overload)
    for hold in (*holds, *holds):  # a second look changes nothing
        hold.poll()
    assert [one.backoff_factor() < 1 for one in throttles] == [is_overload, is_overload]
    assert [clock.waited_s(throttles[1]), clock.waited_s(throttles[0])] == [5.0, 0.0]
    holds[1].poll()
    assert clock.waited_s(throttles[1]) == 0.0


def test_a_response_that_says_so_holds_the_run(tmp_path: Path) -> None:
    """Though it succeeded: the next request would be refused."""
    clock, folder = Clock(), LocalFolder(str(tmp_path))
    throttle, other = (Throttle(1000, clock.read, clock.sleep) for _ in range(2))
    headers = {"Content-Type": "application/json", "RateLimit-Remaining": "0", "RateLimit-Reset": "20"}
    with CardServer(lambda got: Answer(failure("1").body, headers=headers)) as server:
        sender = Sender(
            CardClient(server.base_url, Credentials("k", "s")),
            throttle,
            StopSignal(folder, "r"),
            RetryPolicy(1, 60.0),
            jitter=lambda: 1.0,
            sleep=clock.sleep,
            hold=SharedHold(folder, "r", throttle, is_shared=True, clock=clock.read),
        )
        sender.send("ekyc/card", [ImagePayload(b"1", "image/jpeg")], "1")
    SharedHold(folder, "r", other, is_shared=True, clock=clock.read).poll()
    assert [clock.waited_s(throttle), clock.waited_s(other)] == [20.0, 0.0]
