"""A job that is handed over: exit 0 with its id, seen by `status` and by the next launch; requests begin no run."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from cardbeam.run_state.detached_job import DetachedJob, write_job
from cardbeam.run_state.layout import run_file
from cardbeam.run_state.receipt import read_receipt
from cardbeam.run_state.stop_signal import BUDGET, StopSignal
from cardbeam.storage.folder import LocalFolder
from pipeline.__main__ import main
from pipeline.cli.exit_codes import UsageError
from pipeline.launch.submit import NotAccepted, accepted_job, refuse_local
from pipeline.runs.detached import refuse_detached_jobs
from tests.servers import CardServer, success

WORKERS = ("--environment_type=beam:env:harness_subprocess_python:v1",)
FLINK = ["--runner=FlinkRunner", "--environment_type=EXTERNAL", "--environment_config=localhost:50000"]


@pytest.mark.parametrize(
    ("options", "goes_on"),
    [
        (["--runner=FnApiRunner"], False),
        (["--runner=PrismRunner"], False),
        (["--runner=SparkRunner"], False),
        (FLINK, False),
        ([*FLINK, "--flink_master=flink:8081"], True),
        (["--runner=FlinkRunner", "--flink_master=flink:8081", "--environment_type=LOOPBACK"], False),
        (["--runner=PortableRunner", "--job_endpoint=flink:8099"], True),
        (["--runner=DataflowRunner"], True),
    ],
)
def test_which_jobs_go_on_alone(options: list[str], goes_on: bool) -> None:
    """A job whose workers or job server end with the launching process is not left to itself."""
    try:
        refuse_local(PipelineOptions(options))
    except UsageError as error:
        assert (goes_on, str(error).startswith("--no_wait does not work with")) == (False, True)
    else:
        assert goes_on


@dataclass
class Job:
    """A job as Beam's portable runner shows it."""

    states: list[str]
    _job_id: str = "job-7"
    slept: list[float] = field(default_factory=list)

    @property
    def state(self) -> str:
        return self.states[0] if len(self.states) == 1 else self.states.pop(0)


def test_a_job_is_left_once_it_is_taken() -> None:
    """It is waited for until it runs; one that fails, or is never taken, is an error that names it."""
    taken, failed, never = Job(["STARTING", "STARTING", "RUNNING"]), Job(["STARTING", "FAILED"]), Job(["STARTING"])
    assert (accepted_job(taken, taken.slept.append), taken.slept) == ("job-7", [0.5, 0.5])
    with pytest.raises(NotAccepted, match="job job-7 is FAILED"):
        accepted_job(failed, failed.slept.append)
    with pytest.raises(NotAccepted, match="job job-7 is STARTING after 300 s"):
        accepted_job(never, never.slept.append, lambda: 200.0 * len(never.slept))


def test_a_run_that_goes_on_is_in_the_way(tmp_path: Path) -> None:
    """Until it has its receipt, or was told to stop."""
    folder = LocalFolder(str(tmp_path))
    refuse_detached_jobs(folder)
    write_job(folder, "night", DetachedJob("job-7", "FlinkRunner"))
    with pytest.raises(UsageError, match="run night is in progress: job job-7 of FlinkRunner"):
        refuse_detached_jobs(folder)
    StopSignal(folder, "night").set(BUDGET)
    refuse_detached_jobs(folder)


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("command", ["backfill", "watch"])
def test_a_dry_run_begins_no_run(
    command: str, tmp_path: Path, draw: Callable[..., bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    """The graph is built and translated; nothing is written."""
    (tmp_path / "0.jpg").write_bytes(draw(0))
    given = [f"--input={tmp_path}/*.jpg", f"--output={tmp_path}/out", "--dry_run=True", "--run_id=night"]
    status = main([command, *given, "--runner=FlinkRunner"])
    assert (status, capsys.readouterr().out) == (0, "run night: dry run: the job request builds; nothing was sent\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("credentials")
def test_a_watch_on_this_machine_is_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its runner ends with the process that would leave it."""
    status = main(
        ["watch", f"--input={tmp_path}/*.jpg", f"--output={tmp_path}/out", "--no_wait", "--runner=FlinkRunner"]
    )
    printed = capsys.readouterr().err
    assert (status, "--no_wait does not work with FlinkRunner" in printed) == (2, True), printed


@pytest.fixture
def job_server(tmp_path: Path) -> Iterator[str]:
    """Beam's own job server, which runs jobs in processes that are not ours."""
    port_file = tmp_path / "port"
    module = "apache_beam.runners.portability.local_job_service_main"
    child = subprocess.Popen([sys.executable, "-m", module, "--port=0", f"--port_file={port_file}"])
    try:
        until_s = time.monotonic() + 300
        while not (port_file.exists() and port_file.read_text()):
            assert child.poll() is None and time.monotonic() < until_s
            time.sleep(0.1)
        yield f"localhost:{port_file.read_text()}"
    finally:
        child.kill()
        child.wait()


@pytest.mark.slow
@pytest.mark.usefixtures("credentials")
def test_a_run_that_nobody_waits_for(
    tmp_path: Path, draw: Callable[..., bytes], job_server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The launch ends while a call is in flight; status shows the job; the next launch is refused; then the receipt."""
    (tmp_path / "0.jpg").write_bytes(draw(0))
    folder, gate = LocalFolder(str(tmp_path / "out")), tmp_path / "gate"

    def answer(got: object) -> object:
        while not gate.exists():
            time.sleep(0.05)
        return success(("passport", {"id": "1"}))

    worker = f"{sys.executable} -m apache_beam.runners.worker.sdk_worker_main"
    with CardServer(answer) as server:
        launch = [
            *("backfill", f"--input={tmp_path}/*.jpg", f"--output={tmp_path}/out"),
            *(f"--endpoint_url={server.base_url}", "--timeout_s=300", "--no_wait", "--runner=PortableRunner"),
            *(
                f"--job_endpoint={job_server}",
                "--environment_type=beam:env:harness_subprocess_python:v1",
                f"--environment_config={worker}",
            ),
        ]
        first = main([*launch, "--run_id=night"])
        status = main(["status", f"--output={tmp_path}/out"])
        second = main([*launch, "--run_id=again"])
        gate.touch()
        until_s = time.monotonic() + 300
        while (receipt := read_receipt(folder, "night")) is None:
            assert time.monotonic() < until_s
            time.sleep(0.2)
    stated = capsys.readouterr()
    assert (first, status, second) == (0, 0, 2), stated
    assert "of PortableRunner goes on" in stated.out and "  job        " in stated.out
    assert "run night is in progress: job" in stated.err
    assert (receipt.status, receipt.documents) == ("complete", {"passport": 1})
    assert not list(folder.list(run_file("again", "")))
