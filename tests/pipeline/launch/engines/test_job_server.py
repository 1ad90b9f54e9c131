"""A job server runs for as long as its block, knows no credentials, and a start that fails says why."""

from __future__ import annotations

import json
import sys
import urllib.request
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions, StandardOptions
from apache_beam.runners.portability.prism_runner import PrismRunner
from apache_beam.runners.runner import create_runner

from pipeline.launch.engines.job_server import JobServerFailed, own_job_server
from pipeline.launch.runner import opened_runner
from tests.engines.processes import wait_for_end

LISTENS = """
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        content = json.dumps({"pid": os.getpid(), "names": sorted(os.environ)}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(content)
    def log_message(self, *args):
        pass
port = int(sys.argv[sys.argv.index("--job_port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def options_of(tmp_path: Path, code: str, *more: str) -> PipelineOptions:
    """Options that name a program of our own as Prism."""
    program = tmp_path / "prism"
    program.write_text(f"#!{sys.executable} -S\n{code}")
    return PipelineOptions(["--runner=PrismRunner", f"--prism_location={program}", *more])


def serving(options: PipelineOptions) -> AbstractContextManager[str | None]:
    return own_job_server(create_runner(options.view_as(StandardOptions).runner), options)


def ask(endpoint: str) -> dict[str, object]:
    with urllib.request.urlopen(f"http://{endpoint}/", timeout=10) as response:
        message: dict[str, object] = json.load(response)
    return message


def test_it_runs_for_the_block_and_knows_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there when the block begins and gone when the block has ended; workers, which need them, are here."""
    monkeypatch.setenv("CARD_API_SECRET", "planted")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
    with serving(options_of(tmp_path, LISTENS)) as endpoint:
        assert endpoint is not None
        message = ask(endpoint)
    names, pid = message["names"], message["pid"]
    assert isinstance(names, list)
    assert isinstance(pid, int)
    assert ("PATH" in names, {"CARD_API_SECRET", "AWS_SECRET_ACCESS_KEY"} & set(names)) == (True, set())
    assert not psutil.pid_exists(pid)


def test_the_runner_is_given_its_endpoint_for_the_block(tmp_path: Path) -> None:
    """Beam takes it for a job server that somebody else runs, so it starts and stops none."""
    options = options_of(tmp_path, LISTENS)
    portable = options.view_as(PortableOptions)
    with opened_runner(options) as runner:
        pid = ask(portable.job_endpoint)["pid"]
    assert (type(runner), portable.job_endpoint, isinstance(pid, int)) == (PrismRunner, None, True)


def test_a_job_server_of_the_users_is_left_alone(tmp_path: Path) -> None:
    """With --job_endpoint nothing is started."""
    options = options_of(tmp_path, "raise SystemExit(3)", "--job_endpoint=127.0.0.1:1")
    with opened_runner(options) as runner:
        assert isinstance(runner, PrismRunner)
    assert options.view_as(PortableOptions).job_endpoint == "127.0.0.1:1"


def test_a_program_that_ends_at_once_is_named_with_its_exit_status(tmp_path: Path) -> None:
    """It is started again, for its port may have been taken meanwhile; then the start fails."""
    starts = tmp_path / "starts"
    code = f"open({str(starts)!r}, 'a').write('x'); raise SystemExit(3)"
    with pytest.raises(JobServerFailed, match="exit status 3"), serving(options_of(tmp_path, code)):
        pass
    assert starts.read_text() == "xxx"


def test_a_program_that_does_not_listen_is_given_up(tmp_path: Path) -> None:
    """--job_server_timeout bounds the wait, and nothing is left running."""
    pid_file = tmp_path / "pid"
    code = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    options = options_of(tmp_path, code, "--job_server_timeout=1")
    with pytest.raises(JobServerFailed, match="did not listen"), serving(options):
        pass
    assert not pid_file.exists() or wait_for_end(int(pid_file.read_text()))


@pytest.mark.parametrize("runner", ["FlinkRunner", "SparkRunner"])
def test_the_java_job_servers_run_so_too(tmp_path: Path, runner: str) -> None:
    """Beam's Java job server is started by the program that the options name, and gone at the block's end."""
    java = tmp_path / "java"
    java.write_text(f"#!{sys.executable} -S\n{LISTENS.replace('--job_port', '--job-port')}")
    java.chmod(0o755)
    jar = tmp_path / "server.jar"
    jar.write_bytes(b"")
    name = runner.removesuffix("Runner").lower()
    given = [f"--runner={runner}", f"--job_server_java_launcher={java}", f"--{name}_job_server_jar={jar}"]
    with serving(PipelineOptions(given)) as endpoint:
        assert endpoint is not None
        message = ask(endpoint)
    pid = message["pid"]
    assert isinstance(pid, int)
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize(
    "given",
    [
        ["--runner=FlinkRunner", "--flink_master=cluster:8081", "--flink_submit_uber_jar"],
        ["--runner=SparkRunner", "--spark_submit_uber_jar"],
        ["--runner=PortableRunner", "--job_endpoint=127.0.0.1:1"],
        ["--runner=FnApiRunner"],
    ],
)
def test_where_none_is_needed_none_is_started(given: list[str]) -> None:
    """A job that is sent as a jar to the cluster, a job server of the user's, a runner in this process."""
    with serving(PipelineOptions(given)) as endpoint:
        assert endpoint is None
