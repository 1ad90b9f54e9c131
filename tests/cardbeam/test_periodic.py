"""A step is repeated beside a block for as long as it says, through its own errors, and not after the block."""

from __future__ import annotations

import logging
import threading

import pytest

from cardbeam import periodic
from cardbeam.periodic import repeated


def test_a_step_says_when_it_is_called_again(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """It is called after the first wait, after each that it returns, after an error, and no more after None."""
    monkeypatch.setattr(periodic, "RETRY_S", 0.0)
    called, ended = [], threading.Event()

    def step() -> float | None:
        called.append(threading.current_thread().name)
        if len(called) == 2:
            raise OSError(28, "No space left on device")
        if len(called) == 3:
            raise ValueError("NGUYỄN VĂN AN")
        if len(called) < 5:
            return 0.0
        ended.set()
        return None

    with caplog.at_level(logging.WARNING, "cardbeam"), repeated("heartbeat", step):
        assert ended.wait(30)
    assert called == ["heartbeat"] * 5
    assert [record.getMessage() for record in caplog.records] == [
        "retrying heartbeat after error: [Errno 28] No space left on device",
        "retrying heartbeat after error: ValueError",
    ]


def test_nothing_is_called_after_the_block() -> None:
    """The block's end ends a wait at once, and waits for a step in progress."""
    began, may_end, ended = threading.Event(), threading.Event(), []

    def step() -> float:
        began.set()
        may_end.wait(30)
        ended.append(True)
        return 0.0

    with repeated("never", lambda: pytest.fail("called"), first_s=3600.0):
        pass
    with repeated("step", step):
        assert began.wait(30)
        may_end.set()
    count = len(ended)
    assert count >= 1
    assert [thread.name for thread in threading.enumerate() if thread.name in ("never", "step")] == []
