"""SIGTERM, SIGINT and SIGHUP end every command in order: nothing is paid twice, and the run is resumed by the same
command."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from cardbeam.run_state.receipt import Receipt, read_receipt
from cardbeam.storage.folder import open_folder
from pipeline.runs.registry import ended_runs
from tests.pipeline import cli
from tests.pipeline.killing import answer, backfill_arguments, draw_images
from tests.servers import Answer, CardServer
from tests.wire import Received

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("credentials")]

IN_FLIGHT = 8
EXITS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143}


def _receipts(output: Path) -> list[Receipt]:
    folder = open_folder(str(output))
    return [receipt for run_id in ended_runs(folder) if (receipt := read_receipt(folder, run_id)) is not None]


def _await_calls(server: CardServer, count: int, child: subprocess.Popen[str]) -> int:
    until_s = time.monotonic() + 240
    while (calls := sum(server.calls.values())) < count and child.poll() is None and time.monotonic() < until_s:
        time.sleep(0.01)
    return calls


def _read_until(child: subprocess.Popen[str], word: str) -> str:
    """What it says on standard error, to the line that has a word."""
    assert child.stderr is not None
    lines: list[str] = []
    while not lines or (lines[-1] and word not in lines[-1]):
        lines.append(child.stderr.readline())
    return "".join(lines)


@pytest.mark.parametrize("number", EXITS)
def test_a_signal_ends_a_backfill_in_order(number: signal.Signals, tmp_path: Path) -> None:
    """No call after it, those in flight are kept, the receipt says interrupted, and nothing is paid twice."""
    draw_images(tmp_path / "in", 120)
    output, is_told = tmp_path / "out", threading.Event()

    def answer_once_told(got: Received) -> Answer:
        if sum(server.calls.values()) > 30:
            is_told.wait(240)
        return answer(got, 0.3)

    with CardServer(answer_once_told) as server:
        arguments = backfill_arguments(server, tmp_path / "in", str(output), IN_FLIGHT)
        child = cli.start("backfill", *arguments)
        calls = _await_calls(server, 30 + IN_FLIGHT, child)
        os.kill(child.pid, number)
        said = _read_until(child, "Received")
        is_told.set()
        _, rest = child.communicate(timeout=240)
        err = said + rest
        after = sum(server.calls.values()) - calls
        again = cli.run("backfill", *arguments, timeout_s=300)
        paid_twice = sum(count - 1 for count in server.calls.values())
    assert (child.returncode, again.returncode, paid_twice) == (EXITS[number], 0, 0), err
    assert after <= IN_FLIGHT
    assert f"Received {number.name}: finishing calls in flight, then stopping, within 60 s" in err
    first, second = _receipts(output)
    assert (first.status, first.stopped_by, first.reconciled, second.status) == (
        "interrupted",
        number.name,
        True,
        "complete",
    )
    assert first.requests["succeeded"] + second.requests["succeeded"] == 120


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """What comes with the first is the same signal, as `timeout` sends it; a later one waits for no call."""
    draw_images(tmp_path / "in", 20)
    with CardServer(lambda got: answer(got, 20.0)) as server:
        child = cli.start("backfill", *backfill_arguments(server, tmp_path / "in", str(tmp_path / "out"), IN_FLIGHT))
        _await_calls(server, 1, child)
        os.kill(child.pid, signal.SIGTERM)
        os.kill(child.pid, signal.SIGTERM)
        _read_until(child, "Received SIGTERM")
        time.sleep(1.5)
        assert child.poll() is None
        os.kill(child.pid, signal.SIGINT)
        started_s = time.monotonic()
        _, err = child.communicate(timeout=10)
    assert child.returncode == 130
    assert time.monotonic() - started_s < 2
    assert "Received SIGINT again: ending at once" in err


def test_calls_that_do_not_end_are_awaited_within_the_stated_time(tmp_path: Path) -> None:
    """A call takes its timeout at the most, and what it means is kept before the process ends."""
    draw_images(tmp_path / "in", 3)
    with CardServer(lambda got: answer(got, 30.0)) as server:
        arguments = backfill_arguments(server, tmp_path / "in", str(tmp_path / "out"), 2)
        child = cli.start("backfill", *arguments, "--timeout_s=3", "--max_attempts=3")
        _await_calls(server, 1, child)
        os.kill(child.pid, signal.SIGTERM)
        started_s = time.monotonic()
        child.communicate(timeout=120)
        assert time.monotonic() - started_s < 45  # the machine may be loaded; alone it takes 5
    assert child.returncode == 143
    ends = [(receipt.status, receipt.reconciled) for receipt in _receipts(tmp_path / "out")]
    assert ends in ([("interrupted", True)], [])


@pytest.mark.nightly
def test_signals_at_random_moments(tmp_path: Path) -> None:
    """Eight signals at random moments from the start on: nothing is lost and nothing is paid twice."""
    draw_images(tmp_path / "in", 400)
    output, chance = tmp_path / "out", random.Random(17)
    statuses = []
    with CardServer(lambda got: answer(got, 0.05)) as server:
        arguments = backfill_arguments(server, tmp_path / "in", str(output), IN_FLIGHT)
        for _ in range(8):
            child = cli.start("backfill", *arguments)
            _await_calls(server, sum(server.calls.values()) + chance.randrange(2), child)
            time.sleep(chance.uniform(0.1, 1.5))
            number = chance.choice(list(EXITS))
            if child.poll() is None:
                os.kill(child.pid, number)
            _, err = child.communicate(timeout=240)
            if "Fatal Python error" not in err:  # Python itself, where SIGINT comes before it has found its modules
                statuses.append((child.returncode, EXITS[number], number))
        assert cli.run("backfill", *arguments, timeout_s=300).returncode == 0
        sent = dict(server.calls)
    wrong = [
        (status, exit_status) for status, exit_status, number in statuses if status not in (0, exit_status, -number)
    ]
    assert wrong == []  # a signal that comes before Python has loaded us ends the process itself
    assert (len(sent), set(sent.values())) == (400, {1})
    assert sum(receipt.requests["succeeded"] for receipt in _receipts(output)) == 400
    assert all(receipt.reconciled for receipt in _receipts(output))


@pytest.mark.parametrize("command", ["publish", "sql", "plan"])
def test_other_commands_end_with_one_line(command: str, tmp_path: Path) -> None:
    """A command that calls nothing stops where it is; as it starts, so does every command."""
    child = cli.start(command, f"--output={tmp_path}", *(["SELECT 1"] if command == "sql" else []))
    time.sleep(0.25)
    os.kill(child.pid, signal.SIGTERM)
    out, err = child.communicate(timeout=120)
    assert (child.returncode, out, err) in ((143, "", "Received SIGTERM: stopping\n"), (-15, "", ""))
