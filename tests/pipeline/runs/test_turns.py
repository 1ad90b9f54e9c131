"""Who waits for the lock of an output is seen waiting; a watch lets those have it who live, and then goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cardbeam.storage.folder import LocalFolder
from pipeline.runs.lock import LockHeld
from pipeline.runs.turns import WAITING, give_turns, in_turn


class Output:
    """A lock that is free from some time on, and a clock that only waits move."""

    def __init__(self, path: Path) -> None:
        self.folder, self.now_s, self.free_at_s = LocalFolder(str(path)), 0.0, 0.0
        self.seen: list[int] = []
        self.is_held = False

    @contextmanager
    def lock(self) -> Iterator[None]:
        if self.now_s < self.free_at_s:
            raise LockHeld("run r1 is in progress")
        self.is_held = True
        yield
        self.is_held = False

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.seen.append(len(list(self.folder.list(WAITING))))

    def clock(self) -> float:
        return self.now_s


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(tmp_path)


def test_it_waits_until_the_lock_is_free(output: Output) -> None:
    """It is seen meanwhile, and no longer once it has the lock."""
    output.free_at_s = 3.0
    with in_turn(output.folder, output.lock, 10.0, clock=output.clock, sleep=output.sleep):
        held = (output.is_held, output.now_s, output.seen, list(output.folder.list(WAITING)))
    assert (held, output.is_held) == ((True, 3.0, [1, 1, 1], []), False)


@pytest.mark.parametrize("wait_s", [0.0, 2.0])
def test_it_is_refused_after_its_wait(output: Output, wait_s: float) -> None:
    """At once where it does not wait; nothing of it stays."""
    output.free_at_s = 60.0
    with (
        pytest.raises(LockHeld, match="run r1 is in progress"),
        in_turn(output.folder, output.lock, wait_s, clock=output.clock, sleep=output.sleep),
    ):
        pytest.fail("it has the lock")
    assert (output.now_s, list(output.folder.list(WAITING))) == (wait_s, [])


def test_turns_end_with_the_last_that_waits(output: Output) -> None:
    """One gets the lock after some seconds; another was killed as it waited, and is taken for lost."""
    output.folder.write(f"{WAITING}/killed", b"7")
    waiting = f"{WAITING}/lives"
    output.folder.write(waiting, b"0")

    def sleep(seconds: float) -> None:
        output.now_s += seconds
        if output.now_s < 20.0:
            output.folder.write(waiting, str(output.now_s).encode())
        else:
            output.folder.delete([waiting])

    give_turns(output.folder, 600.0, clock=output.clock, sleep=sleep)
    assert (35.0 < output.now_s < 40.0, list(output.folder.list(WAITING))) == (True, [])


def test_nobody_waits_and_no_time_passes(output: Output) -> None:
    """The watch goes on at once; told to end, it looks no longer."""
    give_turns(output.folder, 600.0, clock=output.clock, sleep=output.sleep)
    at_once = output.now_s
    output.folder.write(f"{WAITING}/one", b"1")
    give_turns(output.folder, 600.0, clock=output.clock, sleep=lambda _: True)
    give_turns(output.folder, 3.0, clock=output.clock, sleep=output.sleep)
    assert (at_once, output.now_s) == (0.0, 3.0)
