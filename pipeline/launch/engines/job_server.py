"""A job server as a child process that never outlives this one: Prism, or Beam's Java job server for Flink or Spark.

Beam starts them too, but ends them by SIGINT alone, waits for five seconds where that is ignored, and leaves them
behind where the launching process is killed.
"""

from __future__ import annotations

import argparse
import ipaddress
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import psutil
from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    JobServerOptions,
    PipelineOptions,
    PortableOptions,
    SparkRunnerOptions,
)
from apache_beam.runners.portability.flink_runner import MAGIC_HOST_NAMES, FlinkJarJobServer, FlinkRunner
from apache_beam.runners.portability.job_server import SubprocessJobServer
from apache_beam.runners.portability.prism_runner import PrismJobServer, PrismRunner, PrismRunnerLogFilter
from apache_beam.runners.portability.spark_runner import SparkJarJobServer, SparkRunner
from apache_beam.runners.runner import PipelineRunner

from cardbeam.errors import CardbeamError
from pipeline.cli.exit_codes import EXIT_USAGE
from pipeline.cli.private_folder import private_folder
from pipeline.launch.engines import guard

_STARTS = 3
"""Another process may take the port between its choice and the server's start."""
_POLL_S = 0.02
_STOPS_WITHIN_S = 3.0
_SECRETS = ("CARD_",)
"""Prefixes of variables that no job server needs."""
_STORE_SECRETS = ("AWS_", "AZURE_", "GOOGLE_")
"""Prefixes of variables that Prism does not need: the workers live in this process."""


class JobServerFailed(CardbeamError):
    """A job server did not start; says which, and how it ended."""

    exit_status = 2


class JobServerExposed(CardbeamError):
    """Other machines could reach a job server and run commands here; says which, where, and what to do."""

    exit_status = EXIT_USAGE


class JobServerOptionsOfOurs(PipelineOptions):
    """What we ask of the job servers that we start; taken among the runner's options."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:  # Beam's hook
        parser.add_argument(
            "--allow_open_ports",
            default=False,
            action="store_true",
            help="Run Prism even if it listens on all interfaces, where a firewall keeps others from its port.",
        )


@contextmanager
def own_job_server(runner: PipelineRunner, options: PipelineOptions) -> Iterator[str | None]:
    """Run the job server that the runner needs for the block; gives its endpoint. None where the options name one.

    It is killed at the end: it keeps nothing that outlives a job.

    Raises:
        JobServerFailed: it does not start, or does not listen within `--job_server_timeout`.
        JobServerExposed: Prism listens on more than the loopback interface, without `--allow_open_ports`.
    """
    portable, server_options = options.view_as(PortableOptions), options.view_as(JobServerOptions)
    if portable.job_endpoint or not _needs_server(runner, options):
        yield None
        return
    with private_folder() as folder:
        server_options.artifacts_dir = server_options.artifacts_dir or folder
        child, endpoint = _start(_server_of(runner, options), portable.job_server_timeout)
        try:
            if isinstance(runner, PrismRunner) and not options.view_as(JobServerOptionsOfOurs).allow_open_ports:
                _refuse_open_ports(child)
            yield endpoint
        finally:
            _stop(child)


def _needs_server(runner: PipelineRunner, options: PipelineOptions) -> bool:
    flink, spark = options.view_as(FlinkRunnerOptions), options.view_as(SparkRunnerOptions)
    if isinstance(runner, FlinkRunner):
        return not flink.flink_submit_uber_jar or flink.flink_master.strip() in MAGIC_HOST_NAMES
    return isinstance(runner, PrismRunner) or (isinstance(runner, SparkRunner) and not spark.spark_submit_uber_jar)


def _server_of(runner: PipelineRunner, options: PipelineOptions) -> SubprocessJobServer:
    if isinstance(runner, FlinkRunner):
        flink = options.view_as(FlinkRunnerOptions)
        flink.flink_master = runner.add_http_scheme(flink.flink_master)
        return FlinkJarJobServer(options)
    return SparkJarJobServer(options) if isinstance(runner, SparkRunner) else PrismJobServer(options)


def _start(server: SubprocessJobServer, within_s: float) -> tuple[subprocess.Popen[bytes], str]:
    name, status = type(server).__name__, None
    for _ in range(_STARTS):
        command, endpoint = server.subprocess_cmd_and_endpoint()
        child = _run([sys.executable, "-I", "-S", guard.__file__, *map(str, command)], server)
        try:
            if _is_listening(child, endpoint, within_s):
                return child, endpoint
        except BaseException:
            _stop(child)
            raise
        status = child.poll()
        _stop(child)
        if status is None:
            raise JobServerFailed(f"{name} did not listen at {endpoint} within {within_s} s")
    raise JobServerFailed(f"{name} ended with exit status {status} before it took a job")


def _run(command: list[str], server: SubprocessJobServer) -> subprocess.Popen[bytes]:
    """Start a guarded command in a session of its own, so that Ctrl-C does not reach it; its output is logged."""
    hidden = (*_SECRETS, *_STORE_SECRETS) if isinstance(server, PrismJobServer) else _SECRETS
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={name: value for name, value in os.environ.items() if not name.startswith(hidden)},
        start_new_session=True,
    )
    assert child.stdout is not None
    given = (child.stdout, _logger_of(server))
    threading.Thread(target=log_stdout, args=given, name="job server log", daemon=True).start()
    return child


def _logger_of(server: SubprocessJobServer) -> logging.Logger:
    logger = logging.getLogger(type(server).__name__)
    if isinstance(server, PrismJobServer) and not logger.filters:
        logger.addFilter(PrismRunnerLogFilter())
        logger.setLevel(logging.INFO)  # what is logged is chosen by --prism_log_level
    return logger


def log_stdout(lines: IO[bytes], logger: logging.Logger) -> None:
    """Log what a job server prints; Prism's at the level of each line. Beam's filter for that needs this name."""
    with lines:
        for line in lines:
            logger.info("%s", line.decode(errors="backslashreplace").rstrip())


def _is_listening(child: subprocess.Popen[bytes], endpoint: str, within_s: float) -> bool:
    """Wait until the port is open; False where the process ended or the time is over."""
    port, until_s = int(endpoint.rpartition(":")[2]), time.monotonic() + within_s
    while child.poll() is None and time.monotonic() < until_s:
        with suppress(OSError), socket.create_connection(("localhost", port), timeout=1.0):
            return child.poll() is None
        time.sleep(_POLL_S)
    return False


def _refuse_open_ports(child: subprocess.Popen[bytes]) -> None:
    """Raises JobServerExposed where a guarded Prism can be reached from elsewhere: who does runs commands here."""
    if where := ", ".join(open_addresses(child.pid)):
        raise JobServerExposed(
            f"Prism listens on all interfaces ({where}), where other machines could run commands as this user. "
            "Build one that listens on loopback only, by `python -m pipeline.launch.engines.build_prism FILE`, and "
            "pass --prism_location=FILE; or, behind a firewall, pass --allow_open_ports"
        )


def open_addresses(pid: int) -> list[str]:
    """Where a process, and what it started, listen on an address that is not the loopback interface's."""
    opened = set()
    for process in (root := psutil.Process(pid), *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            opened |= {_address_of(one) for one in process.net_connections("tcp") if _is_open(one)}
    return sorted(opened)


def _is_open(one: Any) -> bool:
    address = ipaddress.ip_address(one.laddr.ip)
    address = getattr(address, "ipv4_mapped", None) or address
    return one.status == psutil.CONN_LISTEN and not address.is_loopback


def _address_of(one: Any) -> str:
    return f"[{one.laddr.ip}]:{one.laddr.port}" if ":" in one.laddr.ip else f"{one.laddr.ip}:{one.laddr.port}"


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Close the guard's standard input: it kills the server, takes its status and ends. If it does not, kill both."""
    assert child.stdin is not None
    child.stdin.close()
    try:
        child.wait(_STOPS_WITHIN_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
