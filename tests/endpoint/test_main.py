"""`python -m endpoint` says where it is once it is there, refuses in one line, and leaves nothing when it goes."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import requests

from tests.endpoint.conftest import ROOT, RunningEndpoint, Start, environment
from tests.endpoint.simple_reader import ENDLESS, FRONT, NAME, SLOW, image_of

pytestmark = pytest.mark.slow


def run(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "endpoint", *options],
        cwd=ROOT,
        env={**environment(folder), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def gone(processes: list[psutil.Process], within_s: float = 20) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    return not alive


def test_it_says_its_base_url_once_it_answers(start: Start) -> None:
    endpoint = start("--workers=1")
    assert endpoint.process.stdout.readline() == f"{endpoint.base_url}\n"
    assert endpoint.base_url.endswith("/api/v2")
    assert endpoint.post_file("ekyc/card", image_of(FRONT)).json()["errorCode"] == "0"


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told_and_leaves_no_process_and_no_port_file(start: Start, stop: signal.Signals) -> None:
    endpoint = start("--workers=2")
    family = psutil.Process(endpoint.process.pid).children(recursive=True)
    assert len(endpoint.workers()) == 2
    endpoint.process.send_signal(stop)
    assert endpoint.process.wait(timeout=60) == 0
    assert gone(family)
    assert [path.name for path in endpoint.log_path.parent.iterdir()] == ["log"]
    assert "Traceback" not in endpoint.log_path.read_text()


def test_what_is_being_read_is_answered_before_it_stops(start: Start) -> None:
    endpoint = start("--workers=1")
    responses: list[requests.Response] = []
    reading = threading.Thread(target=lambda: responses.append(endpoint.post_file("ekyc/card", image_of(SLOW))))
    reading.start()
    endpoint.wait_until_reading()
    endpoint.process.terminate()
    reading.join()
    assert [response.status_code for response in responses] == [200]


def test_it_stops_in_time_although_an_image_never_ends(start: Start) -> None:
    endpoint = start("--workers=1", "--card_timeout_s=600")
    family = psutil.Process(endpoint.process.pid).children(recursive=True)
    threading.Thread(target=_ignore_the_end, args=(endpoint,), daemon=True).start()
    endpoint.wait_until_reading()
    endpoint.process.terminate()
    assert endpoint.process.wait(timeout=60) == 0
    assert gone(family)
    assert "Traceback" not in endpoint.log_path.read_text()


def _ignore_the_end(endpoint: RunningEndpoint) -> None:
    with contextlib.suppress(requests.ConnectionError):
        endpoint.post_file("ekyc/card", image_of(ENDLESS))


def test_killed_it_leaves_no_worker(start: Start) -> None:
    endpoint = start("--workers=2")
    family = psutil.Process(endpoint.process.pid).children(recursive=True)
    endpoint.process.kill()
    endpoint.process.wait(timeout=60)
    assert gone(family)


def test_stopped_while_it_starts_it_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "endpoint", "--port=0", "--workers=2", f"--reader={NAME}"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(tmp_path), stderr=subprocess.PIPE, text=True)
    while not (family := psutil.Process(process.pid).children(recursive=True)):
        time.sleep(0.01)
    process.terminate()
    _, log = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in log, gone(family)) == (0, False, True)


def test_bad_usage_is_one_line_and_status_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = run(tmp_path, f"--port={taken.getsockname()[1]}")
    assert (busy.returncode, busy.stdout, busy.stderr.count("\n")) == (2, "", 1)
    assert busy.stderr.startswith("endpoint: --host, --port: can't listen on 127.0.0.1: Address already in use")
    folder = run(tmp_path, f"--port_file={tmp_path}")
    assert (folder.returncode, folder.stdout) == (2, "")
    assert folder.stderr == "endpoint: --port_file: Is a directory (see --help)\n"
    unknown = run(tmp_path, "--latncy_s=1")
    line = "endpoint: unknown option --latncy_s, did you mean --latency_s? (see --help)\n"
    assert (unknown.returncode, unknown.stdout, unknown.stderr) == (2, "", line)
    nameless = run(tmp_path, CARD_API_KEY="")
    line = "endpoint: set CARD_API_KEY and CARD_API_SECRET in the environment, or pass --allow_anonymous (see --help)\n"
    assert (nameless.returncode, nameless.stdout, nameless.stderr) == (2, "", line)


def test_a_reader_that_can_not_open_is_status_4(tmp_path: Path) -> None:
    done = run(tmp_path, "--port=0", "--workers=1", "--reader=tests.endpoint.simple_reader:NoSuchReader")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.endswith(
        "endpoint: no worker could open the reader 'tests.endpoint.simple_reader:NoSuchReader'\n"
    )


def test_help_ends_with_status_0(tmp_path: Path) -> None:
    done = run(tmp_path, "--help")
    assert (done.returncode, "--allow_private_addresses" in done.stdout, done.stderr) == (0, True, "")
