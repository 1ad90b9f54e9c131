"""A watch on Prism, restarted and killed, pays each image once and shows it; what stops the sending ends it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.engines import install
from tests.engines.stopping import stop
from tests.engines.watching import watch
from tests.pipeline import cli
from tests.pipeline.killing import answer, draw_images
from tests.servers import Answer, CardServer, failure
from tests.wire import Received

pytestmark = pytest.mark.slow

IMAGES = 60
FAST = ("--poll_interval_s=1", "--publish_interval_s=2", "--max_requests_per_second=50")


WITHIN_S = 60.0


@pytest.fixture(scope="module")
def prism() -> str:
    """The option that names the runner's binary."""
    try:
        return f"--prism_location={install.prism()}"
    except install.NotInstalled as error:
        pytest.skip(str(error))


def test_every_image_once_through_a_restart_and_a_kill(prism: str, tmp_path: Path) -> None:
    restarts = [(0.3, signal.SIGTERM), (0.6, signal.SIGKILL)]
    watched = watch(tmp_path, [prism, *FAST], images=IMAGES, over_s=10.0, restarts=restarts)
    assert (watched.rows, watched.different, watched.exits) == (IMAGES, IMAGES, (0, -signal.SIGKILL, 0))
    assert watched.paid_twice <= watched.in_flight_at_kill
    first, *others = [(receipt.status, receipt.reconciled) for receipt in watched.receipts]
    assert first == ("interrupted" if watched.receipts[0].requests["deferred"] else "complete", True)
    assert others == [("interrupted", True), ("complete", True)]
    requests = [receipt.requests for receipt in watched.receipts]
    assert sum(one["found"] - one["deferred"] for one in requests) == IMAGES
    assert watched.last_files <= 2


def test_no_requests_left_ends_it_with_what_is_deferred(prism: str, tmp_path: Path) -> None:
    """While it watches its state and its rows can be asked for, and another run is refused."""
    source, inputs, output = tmp_path / "drawn", tmp_path / "in", tmp_path / "out"
    draw_images(source, 3)
    first, second, third = sorted(source.iterdir())
    inputs.mkdir()
    shutil.copy(first, inputs)
    is_empty = False

    def response(got: Received) -> Answer:
        return failure("4") if is_empty else answer(got, 0.0)

    with CardServer(response) as server:
        given = [f"--input={inputs}", f"--output={output}", f"--endpoint_url={server.base_url}"]
        child = cli.start("watch", *given, prism, *FAST)
        while not any(output.glob("documents/type=passport/*/*.parquet")):
            assert child.poll() is None, child.communicate()
        refused = cli.run("backfill", *given)
        asked = cli.run("status", f"--output={output}")
        rows = cli.run("sql", f"--output={output}", "--format=csv", "SELECT count(*) FROM passport")
        is_empty = True
        shutil.copy(second, inputs)
        shutil.copy(third, inputs)
        out, err = child.communicate(timeout=60)
    assert (refused.returncode, "is in progress" in refused.stderr) == (2, True), refused.stderr
    assert "watching" in asked.stdout, asked
    assert "new images are processed" in asked.stdout, asked
    assert rows.stdout.split() == ["count_star()", "1"], rows
    assert child.returncode == 3, err
    assert "out_of_requests" in out
    assert "3 found, 0 skipped, 0 duplicates, 1 succeeded, 0 dead-lettered, 2 deferred" in out


@contextmanager
def watching(tmp_path: Path, server: CardServer, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A watch over a folder with one image, from that image's row on."""
    draw_images(tmp_path / "drawn", 2)
    (tmp_path / "in").mkdir()
    shutil.copy(tmp_path / "drawn" / "000000.png", tmp_path / "in")
    given = [f"--input={tmp_path}/in", f"--output={tmp_path}/out", f"--endpoint_url={server.base_url}"]
    child = cli.start("watch", *given, *FAST, *options)
    try:
        wait_for(child, lambda: any(tmp_path.glob("out/documents/type=passport/*/*.parquet")))
        yield child
    finally:
        child.kill()
        child.communicate()


def wait_for(child: subprocess.Popen[str], is_there: Callable[[], bool]) -> None:
    until_s = time.monotonic() + WITHIN_S
    while not is_there():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < until_s
        time.sleep(0.05)


def prism_of(child: subprocess.Popen[str]) -> psutil.Process:
    (found,) = (one for one in psutil.Process(child.pid).children(recursive=True) if one.name().startswith("prism"))
    return found


def test_it_outlives_the_timeout_of_its_job_server(prism: str, tmp_path: Path) -> None:
    """--job_server_timeout ends no watch, and a slow call takes no core of Prism; SIGTERM ends both in order."""
    with (
        CardServer(lambda got: answer(got, 6.0 * (len(server.calls) > 1))) as server,
        watching(tmp_path, server, prism, "--job_server_timeout=3") as child,
    ):
        runner = prism_of(child)
        shutil.copy(tmp_path / "drawn" / "000001.png", tmp_path / "in")
        wait_for(child, lambda: len(server.calls) == 2)
        cpu_s, began_s = sum(runner.cpu_times()[:2]), time.monotonic()
        time.sleep(4.0)  # in the call, and beyond the timeout
        share = (sum(runner.cpu_times()[:2]) - cpu_s) / (time.monotonic() - began_s)
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=WITHIN_S)
    assert (child.returncode, "2 answered" in out) == (0, True), err
    assert not runner.is_running()
    assert share < 0.5


def test_a_killed_watch_leaves_no_prism(prism: str, tmp_path: Path) -> None:
    """Prism ends with the process that started it, also where that one is killed alone; `status` says so."""
    with CardServer(lambda got: answer(got, 0.0)) as server, watching(tmp_path, server, prism) as child:
        runner = prism_of(child)
        child.kill()
        gone = psutil.wait_procs([runner], timeout=WITHIN_S)
        asked = cli.run("status", f"--output={tmp_path}/out")
    assert gone == ([runner], [])
    assert (asked.returncode, "DEAD       its process is gone" in asked.stdout) == (4, True), asked


@pytest.mark.parametrize(("command", "options"), [("watch", ()), ("backfill", ("--runner=PrismRunner",))])
def test_it_is_stopped_from_anywhere(prism: str, tmp_path: Path, command: str, options: tuple[str, ...]) -> None:
    """`runs --stop` has no call follow 10 s later, of a watch or a backfill, and the run end with its tables."""
    stopped = stop(tmp_path, command, [prism, *options])
    assert stopped.violations(command) == []
    assert not stopped.receipt.requests["dead_lettered"]


def test_a_waiting_replay_has_its_turn_between_two_runs(prism: str, tmp_path: Path) -> None:
    """It waits for the run's end, replays, and the watch goes on with another run, until it is told to stop."""
    is_ill = True
    with (
        CardServer(lambda got: failure("3") if is_ill else answer(got, 0.0)) as server,
    ):
        draw_images(tmp_path / "drawn", 2)
        first, second = sorted((tmp_path / "drawn").iterdir())
        (tmp_path / "in").mkdir()
        shutil.copy(first, tmp_path / "in")
        output = [f"--output={tmp_path}/out", f"--endpoint_url={server.base_url}"]
        child = cli.start("watch", f"--input={tmp_path}/in", *output, prism, *FAST, "--run_duration_h=0.01")
        try:
            wait_for(child, lambda: any(tmp_path.glob("out/dead_letters/*/*.parquet")))
            is_ill = False
            replayed = cli.run("replay", *output, "--lock_wait_s=300", timeout_s=300)
            shutil.copy(second, tmp_path / "in")
            wait_for(child, lambda: _rows(tmp_path / "out") == 2)
            child.send_signal(signal.SIGTERM)
            _, err = child.communicate(timeout=WITHIN_S)
        finally:
            child.kill()
    assert (replayed.returncode, "1 succeeded" in replayed.stdout, child.returncode) == (0, True, 0), (replayed, err)
    assert "Waiting for another command" in replayed.stdout + replayed.stderr


def _rows(output: Path) -> int:
    asked = cli.run("sql", f"--output={output}", "--format=csv", "SELECT count(*) FROM passport")
    return int(asked.stdout.split()[-1]) if asked.returncode == 0 else 0
