"""No crash, copy, rename or second run pays for an answer again, and every image is accounted for."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest import MonkeyPatch

from cardbeam.calls.worker import prefetch_slots
from cardbeam.storage.folder import LocalFolder
from pipeline.runs.registry import ended_runs
from tests.pipeline import cli
from tests.pipeline.killing import audit, kill_and_resume, kill_while_publishing
from tests.servers import Answer, CardServer, failure, success
from tests.wire import Received

pytestmark = pytest.mark.slow

_IN_FLIGHT = 8


def _answer(got: Received) -> Answer:
    response = success(("passport", {"id": got.key[:12], "dob": "12-03-2001"}))
    return Answer(response.body, headers=response.headers, latency_s=0.02)


def _draw_all(folder: Path, draw: Callable[..., bytes], numbers: range) -> None:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        Path(folder, f"{number:05}.jpg").write_bytes(draw(number))


def _arguments(server: CardServer, images: Path, output: Path, *more: str) -> list[str]:
    return [
        f"--input={images}/*.jpg",
        f"--output={output}",
        f"--endpoint_url={server.base_url}",
        "--max_requests_per_second=0",
        f"--max_in_flight={_IN_FLIGHT}",
        *more,
    ]


def _receipt(output: Path, run_id: str) -> dict[str, object]:
    receipt: dict[str, object] = json.loads((output / "runs" / run_id / "receipt.json").read_text())
    return receipt


def _files(output: Path) -> list[str]:
    return sorted(str(path.relative_to(output)) for path in output.rglob("*") if path.is_file())


def test_killed_and_resumed(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """A run killed in mid-call again and again has each image once, and pays again at most for what was in progress."""
    _draw_all(tmp_path / "in", draw, range(200))
    with CardServer(_answer) as server:
        arguments = _arguments(server, tmp_path / "in", tmp_path / "out")
        killed = kill_and_resume(server, arguments, kills=4, longest_s=0.2)
    assert cli.query(tmp_path / "out", "SELECT count(*), count(DISTINCT item_id) FROM passport") == [(200, 200)]
    assert killed.kills == 4
    assert killed.paid_twice <= killed.kills * (
        _IN_FLIGHT + prefetch_slots(_IN_FLIGHT)
    )  # in flight, or on its way to the disk
    assert list(audit(str(tmp_path / "out"), 200)) == []
    receipts = [_receipt(tmp_path / "out", run_id) for run_id in ended_runs(LocalFolder(str(tmp_path / "out")))]
    assert [receipt["status"] for receipt in receipts] == [*["interrupted"] * 4, "complete"]
    requests = [receipt["requests"] for receipt in receipts]
    before = [sum(one["succeeded"] for one in requests[:number]) for number in range(5)]  # type: ignore[index]  # JSON
    assert [(one["found"], one["skipped"]) for one in requests] == [  # type: ignore[index]  # JSON
        (200, count) for count in before
    ]


def test_second_run_copies_and_renames(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """A second run, duplicates and renames make no call; only what is new is called."""
    images = tmp_path / "in"
    _draw_all(images, draw, range(20))
    shutil.copy(images / "00000.jpg", images / "copy-in-the-first-run.jpg")
    with CardServer(_answer) as server:
        arguments = _arguments(server, images, tmp_path / "out")
        assert cli.run("backfill", *arguments, "--run_id=first").returncode == 0
        assert sum(server.calls.values()) == 20
        assert cli.run("backfill", *arguments, "--run_id=second").returncode == 0
        for number in range(10):
            (images / f"{number:05}.jpg").rename(images / f"renamed-{number}.jpg")
            shutil.copy(images / f"{number + 10:05}.jpg", images / f"copied-{number}.jpg")
        assert cli.run("backfill", *arguments, "--run_id=third").returncode == 0
        assert sum(server.calls.values()) == 20
        _draw_all(images, draw, range(100, 105))
        assert cli.run("backfill", *arguments, "--run_id=fourth").returncode == 0
        assert sum(server.calls.values()) == 25
    requests = [_receipt(tmp_path / "out", name)["requests"] for name in ("first", "second", "third", "fourth")]
    outcomes = ("found", "skipped", "duplicates", "succeeded")
    assert [tuple(one[outcome] for outcome in outcomes) for one in requests] == [  # type: ignore[index]  # JSON
        (21, 0, 1, 20),
        (21, 21, 0, 0),
        (31, 31, 0, 0),
        (36, 31, 0, 5),
    ]


_COUNT_OPENS = """
import os, sys

def log(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".jpg"):
        with os.fdopen(os.open(os.environ["OPENED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a") as opened:
            opened.write(f"{arguments[0]}\\n")

sys.addaudithook(log)
"""


def test_only_new_images_are_opened(tmp_path: Path, draw: Callable[..., bytes], monkeypatch: MonkeyPatch) -> None:
    """With a few new images among many that are answered, only the new ones are opened, once each, and called."""
    images, opened = tmp_path / "in", tmp_path / "opened.txt"
    (tmp_path / "sitecustomize.py").write_text(_COUNT_OPENS)
    monkeypatch.setitem(cli.ENVIRONMENT, "PYTHONPATH", f"{tmp_path}:{cli.ENVIRONMENT['PYTHONPATH']}")
    monkeypatch.setitem(cli.ENVIRONMENT, "OPENED", str(opened))
    _draw_all(images, draw, range(100))
    with CardServer(_answer) as server:
        arguments = _arguments(server, images, tmp_path / "out")
        assert cli.run("backfill", *arguments).returncode == 0
        assert len(opened.read_text().splitlines()) == 100
        opened.unlink()
        _draw_all(images, draw, range(100, 105))
        assert cli.run("backfill", *arguments).returncode == 0
        assert sum(server.calls.values()) == 105
    assert sorted(opened.read_text().splitlines()) == [f"{images}/{number:05}.jpg" for number in range(100, 105)]


def test_quota(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """errorCode 4 stops a run with its answers published and the rest deferred; the next run sends the rest."""
    _draw_all(tmp_path / "in", draw, range(30))
    with CardServer(lambda got: failure("4") if sum(server.calls.values()) > 12 else _answer(got)) as server:
        arguments = _arguments(server, tmp_path / "in", tmp_path / "out")
        stopped = cli.run("backfill", *arguments, "--run_id=first")
        server.answer = _answer
        resumed = cli.run("backfill", *arguments, "--run_id=second")
    assert (stopped.returncode, resumed.returncode) == (3, 0)
    assert "out_of_requests" in stopped.stdout
    assert cli.query(tmp_path / "out", "SELECT count(*), count(DISTINCT item_id) FROM passport") == [(30, 30)]
    assert _receipt(tmp_path / "out", "first")["status"] == "out_of_requests"
    assert _receipt(tmp_path / "out", "second")["status"] == "complete"


def test_publish_killed(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """publish, killed and run again, leaves the same files."""
    _draw_all(tmp_path / "in", draw, range(40))
    output = tmp_path / "out"
    with CardServer(_answer) as server:
        assert cli.run("backfill", *_arguments(server, tmp_path / "in", output, "--run_id=first")).returncode == 0
    before = _files(output)
    kill_while_publishing([f"--output={output}"], kills=3)
    assert cli.run("publish", f"--output={output}").returncode == 0
    assert _files(output) == before
    assert cli.query(output, "SELECT count(*), count(DISTINCT item_id) FROM passport") == [(40, 40)]


def test_second_process(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """A second process over an output whose run is alive is refused with a message that names the run."""
    _draw_all(tmp_path / "in", draw, range(60))
    slow = CardServer(lambda got: Answer(_answer(got).body, latency_s=0.4))
    with slow as server:
        arguments = _arguments(server, tmp_path / "in", tmp_path / "out", "--run_id=first")
        first = cli.start("backfill", *arguments)
        while not server.received:
            assert first.poll() is None
        second = cli.run("backfill", *arguments[:-1])
        out, _ = first.communicate()
    assert first.returncode == 0, out
    assert second.returncode == 2
    assert re.search(r"run first is in progress \(pid \d+ on .+\) over this --output: wait", second.stderr)
    assert "Traceback" not in second.stderr
    assert max(server.calls.values()) == 1


def test_replay(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """replay sends dead letters again, once each; what it answers is open no longer."""
    _draw_all(tmp_path / "in", draw, range(6))
    with CardServer(lambda _: failure("1")) as server:
        arguments = _arguments(server, tmp_path / "in", tmp_path / "out")
        assert cli.run("backfill", *arguments, "--run_id=first").returncode == 0
        again = cli.run("backfill", *arguments, "--run_id=second")
        assert (again.returncode, sum(server.calls.values())) == (0, 6)
        server.answer = lambda got: failure("1") if int(got.key[:2], 16) % 2 else _answer(got)
        replayed = cli.run("replay", *arguments[1:], "--codes=error_1")
        assert (replayed.returncode, sum(server.calls.values())) == (0, 12)
    answered = [key for key in server.calls if not int(key[:2], 16) % 2]
    assert cli.query(tmp_path / "out", "SELECT count(*) FROM passport") == [(len(answered),)]
    assert cli.query(tmp_path / "out", "SELECT count(*) FROM dead_letters_open") == [(6 - len(answered),)]


def test_plan_writes_nothing(tmp_path: Path, draw: Callable[..., bytes]) -> None:
    """plan says what backfill would do, calls nothing and writes nothing."""
    _draw_all(tmp_path / "in", draw, range(5))
    with CardServer(_answer) as server:
        arguments = _arguments(server, tmp_path / "in", tmp_path / "out", "--price_per_call=0.5")
        planned = cli.run("plan", *arguments, "--max_requests_per_second=2")
    assert planned.returncode == 0, planned.stderr
    assert [line.split()[-1] for line in planned.stdout.splitlines() if line.startswith(("found", "skipped"))] == [
        "5",
        "0",
    ]
    assert "2.50" in planned.stdout
    assert not server.received
    assert not (tmp_path / "out").exists()
