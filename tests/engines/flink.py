"""A Flink cluster on this machine: a job manager and task managers as processes, each with its own SDK workers.

with FlinkCluster(folder, environment) as flink:
    child = cli.start("backfill", *flink.options(), ...)
    flink.kill_task_manager(0)
    flink.start_task_manager()

Task managers run at most `slots` subtasks each. Workers are processes that they start: Beam's boot program,
which installs what `--setup_file` brought into an environment of its own and starts Python there.

A cluster that stands ready has our code with the workers, and Beam's job server beside it. That one is started by
Flink's own client, whose jobs are made of what Flink has in `lib/`: no jar is handed over with a job.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil

from tests.engines import install
from tests.engines.flink_config import write_config
from tests.engines.processes import children, command_of, free_ports, kill_tree
from tests.engines.worker import worker_options

_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_CLIENT = "org.apache.flink.client.cli.CliFrontend"
_START_WITHIN_S = 240.0
_LOADED = ("lang", "net", "io", "nio", "lang.reflect", "text", "time", "util", "util.concurrent")
"""Packages of the JDK that Flink looks into, as its own start scripts say."""
_SHORT_LIVED = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Options of a Java that is to start soon and to take little memory."""


@dataclass(frozen=True, slots=True)
class _Process:
    name: str
    child: subprocess.Popen[bytes]


class FlinkCluster:
    """From `with` to its end. Logs, temporary files and workers' folders are in `folder`."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        *,
        task_managers: int = 2,
        slots: int = 1,
        has_our_code: bool = False,
        stands_ready: bool = False,
    ) -> None:
        """`has_our_code`: workers have it, as in an image of ours, and install nothing that a job brings.
        `stands_ready`: that, and Beam's job server runs beside them."""
        self.folder, self._environment = folder, dict(environment)
        self._count, self._slots = task_managers, slots
        self._installs, self._stands_ready = not (has_our_code or stands_ready), stands_ready
        self._rest_port, self._rpc_port = free_ports(2)
        self._job_manager: _Process | None = None
        self._job_server: _Process | None = None
        self._job_service: list[str] = []
        self.task_managers: list[_Process] = []
        self._started = 0

    @property
    def master(self) -> str:
        """What `--flink_master` takes."""
        return f"127.0.0.1:{self._rest_port}"

    def options(self, parallelism: int | None = None) -> list[str]:
        """The options of a run on this cluster: what a user with a cluster of his own gives."""
        started = ["--runner=FlinkRunner", f"--flink_master={self.master}"]
        started += [f"--flink_job_server_jar={install.job_server_jar('flink')}"]
        return [
            *(self._job_service or started),
            f"--parallelism={parallelism or self._count * self._slots}",
            *self._worker_options,
        ]

    def __enter__(self) -> FlinkCluster:
        write_config(self.folder, self._rest_port, self._rpc_port, self._slots)
        self._worker_options = worker_options(self.folder / "tmp", installs=self._installs)
        try:
            self._job_manager = self._start("job-manager", _JOB_MANAGER, "256m", *self._options)
            self._wait("the job manager", lambda: self.rest("/overview") is not None)
            for _ in range(self._count):
                self.start_task_manager()
            if self._stands_ready:
                self._job_service = self._start_job_service()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in [*self.task_managers, *filter(None, [self._job_manager, self._job_server])]:
            kill_tree(process.child)
        self.task_managers = []

    def start_task_manager(self) -> None:
        """One more; back when the job manager knows it."""
        self._started += 1
        name = f"task-manager-{self._started}"
        message = [*self._options, "-D", f"taskmanager.resource-id={name}"]
        self.task_managers.append(self._start(name, _TASK_MANAGER, "384m", *message))
        self._wait(name, lambda: name in self._known())

    def kill_task_manager(self, number: int) -> None:
        """`kill -9` of a task manager and of every process that it started."""
        kill_tree(self.task_managers.pop(number).child)

    def workers(self) -> list[psutil.Process]:
        """The Python processes that the task managers run now."""
        return [
            process
            for manager in self.task_managers
            for process in children(manager.child.pid)
            if "apache_beam.runners.worker.sdk_worker_main" in command_of(process)
        ]

    def rest(self, path: str) -> Any:
        """What Flink's web API says; None where it does not answer."""
        text = self.rest_bytes(path)
        return json.loads(text) if text else None

    def rest_bytes(self, path: str) -> bytes:
        """As it says it; nothing where it does not answer."""
        with suppress(OSError), urlopen(f"http://{self.master}{path}", timeout=10) as answer:
            content: bytes = answer.read()
            return content
        return b""

    def all_it_tells(self) -> Iterator[tuple[str, bytes]]:
        """Every page of the web API about the cluster, its jobs, their stages and their failures."""
        paths = ["/config", "/overview", "/jobs/overview", "/jobmanager/config", "/jobmanager/environment"]
        paths += ["/jobmanager/logs", "/taskmanagers", *(f"/taskmanagers/{name}" for name in self._known())]
        for job in self.jobs():
            about = f"/jobs/{job['jid']}"
            paths += [about, *(f"{about}/{what}" for what in ("plan", "config", "accumulators", "exceptions"))]
            for vertex in job["vertices"]:
                stage = f"{about}/vertices/{vertex['id']}"
                paths += [stage, f"{stage}/accumulators", f"{stage}/taskmanagers", f"{stage}/subtasks/accumulators"]
        yield from ((path, self.rest_bytes(path)) for path in paths)

    def command_lines(self) -> Iterator[tuple[str, bytes]]:
        """Those of every process of the cluster."""
        managers = [*self.task_managers, *filter(None, [self._job_manager])]
        for process in [child for manager in managers for child in children(manager.child.pid)]:
            yield f"process {process.pid}", command_of(process).encode()

    def jobs(self) -> list[dict[str, Any]]:
        """What the web API says of each job, the newest first."""
        text = self.rest("/jobs/overview")
        newest = sorted(text["jobs"], key=lambda job: -int(job["start-time"])) if text else []
        return [self.rest(f"/jobs/{job['jid']}") for job in newest]

    def cancel(self) -> None:
        """Cancel the job that runs, as a user does in the web page; back when it has ended."""
        job = self.jobs()[0]["jid"]
        with urlopen(Request(f"http://{self.master}/jobs/{job}?mode=cancel", method="PATCH"), timeout=10):
            self._wait(f"the end of {job}", lambda: self.jobs()[0]["state"] == "CANCELED")

    def _known(self) -> list[str]:
        text = self.rest("/taskmanagers")
        return [manager["id"] for manager in text["taskmanagers"]] if text else []

    @property
    def _options(self) -> list[str]:
        return ["--configDir", str(self.folder / "conf")]

    def _start_job_service(self) -> list[str]:
        """Beam's job server, which takes jobs for this cluster: what a run is told of it.

        `flink run` hands over the jar that it is given: here one without a class.
        """
        nothing = self.folder / "nothing.jar"
        with zipfile.ZipFile(nothing, "w") as jar:
            jar.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n\r\n")
        job_port, *ports = free_ports(3)
        given = [f"--artifacts-dir={self.folder / 'tmp'}", f"--job-port={job_port}"]
        given += [f"--{name}-port={port}" for name, port in zip(("artifact", "expansion"), ports, strict=True)]
        run = ["run", "-c", install.job_server_class("flink"), str(nothing), "--flink-master=[auto]", *given]
        self._job_server = self._start("job-server", _CLIENT, "256m", *run)
        self._wait("the job server", lambda: _listens(job_port))
        return ["--runner=PortableRunner", f"--job_endpoint=127.0.0.1:{job_port}"]

    def _start(self, name: str, main: str, heap: str, *arguments: str) -> _Process:
        opened = [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in _LOADED]
        logging = [
            f"-Dlog.file={self.folder / 'log' / name}.log",
            f"-Dlog4j.configurationFile={self.folder / 'conf' / 'log4j.properties'}",
        ]
        java = ["java", f"-Xmx{heap}", f"-Djava.io.tmpdir={self.folder / 'tmp'}", *_SHORT_LIVED, *opened, *logging]
        return self._run(name, [*java, "-cp", f"{install.jars('flink')}/*", main, *arguments])

    def _run(self, name: str, command: list[str]) -> _Process:
        with Path(self.folder, "log", f"{name}.out").open("wb") as out:
            child = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**self._environment, "FLINK_CONF_DIR": f"{self.folder}/conf", "TMPDIR": f"{self.folder}/tmp"},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        return _Process(name, child)

    def _wait(self, what: str, is_there: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + _START_WITHIN_S
        while time.monotonic() < deadline_s:
            if is_there():
                return
            time.sleep(0.1)
        raise TimeoutError(f"{what} did not start; see {self.folder / 'log'}")


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
