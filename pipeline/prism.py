"""Prism, Beam's local runner, as a child process that never outlives this one."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions, PrismRunnerOptions
from apache_beam.runners.portability.prism_runner import PrismJobServer, PrismRunnerLogFilter

from pipeline import guard
from pipeline.exit import UsageError

PRISM = "PrismRunner"
_STARTS = 3
"""Another process may take the port between its choice and Prism's start."""
_LOOK_S = 0.02
_STOPS_WITHIN_S = 3.0
_SECRETS = ("CARD_", "AWS_", "AZURE_", "GOOGLE_")
"""Prefixes of variables that Prism does not need: the workers live in this process."""


class PrismFailed(Exception):
    """Prism did not start; says how it ended."""


def find_prism(options: PipelineOptions) -> None:
    """Set `--prism_location` to a program on this machine: as given, on the PATH, or downloaded by Beam.

    Raises:
        UsageError: there is none, and it cannot be downloaded.
    """
    prism = options.view_as(PrismRunnerOptions)
    if prism.prism_log_level == "info":  # its default: a line for each of its own steps
        prism.prism_log_level = "error"
    prism.prism_location = prism.prism_location or shutil.which("prism", path=f"{sys.prefix}/bin:{os.environ['PATH']}")
    try:
        prism.prism_location = PrismJobServer.local_bin(
            PrismJobServer(options).path_to_binary(), PrismJobServer.BIN_CACHE
        )
    except Exception as error:  # Beam raises several kinds
        raise UsageError(
            f"{PRISM} needs the program prism, and it cannot be downloaded: give --prism_location, or install it "
            f"with go install github.com/apache/beam/sdks/v2/go/cmd/prism@v{beam.__version__}"
        ) from error


@contextmanager
def prism_server(options: PipelineOptions) -> Iterator[str]:
    """Run Prism for the block; gives its endpoint. It is killed at the end: it keeps nothing that outlives a job.

    Raises:
        PrismFailed: it does not start, or does not listen within `--job_server_timeout`.
    """
    within_s = options.view_as(PortableOptions).job_server_timeout
    child, endpoint = _start(options, within_s)
    try:
        yield endpoint
    finally:
        _stop(child)


def _start(options: PipelineOptions, within_s: float) -> tuple[subprocess.Popen[bytes], str]:
    status = None
    for _ in range(_STARTS):
        command, endpoint = PrismJobServer(options).subprocess_cmd_and_endpoint()
        child = _run([sys.executable, "-I", "-S", guard.__file__, *map(str, command)])
        try:
            if _is_listening(child, endpoint, within_s):
                return child, endpoint
        except BaseException:
            _stop(child)
            raise
        status = child.poll()
        _stop(child)
        if status is None:
            raise PrismFailed(f"Prism did not listen at {endpoint} within {within_s} s")
    raise PrismFailed(f"Prism ended with exit status {status} before it took a job")


def _run(command: list[str]) -> subprocess.Popen[bytes]:
    """Start a guarded command in a session of its own, so that Ctrl-C does not reach it; its output is logged."""
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={name: value for name, value in os.environ.items() if not name.startswith(_SECRETS)},
        start_new_session=True,
    )
    assert child.stdout is not None
    threading.Thread(target=log_stdout, args=(child.stdout,), name="prism log", daemon=True).start()
    return child


def log_stdout(lines: IO[bytes]) -> None:
    """Log what Prism prints, at the level that it names. Beam's filter knows its lines by this function's name."""
    logger = logging.getLogger(PrismJobServer.__name__)
    if not logger.filters:
        logger.addFilter(PrismRunnerLogFilter())
        logger.setLevel(logging.INFO)  # what is logged is chosen by --prism_log_level
    with lines:
        for line in lines:
            logger.info("%s", line.decode(errors="backslashreplace").rstrip())


def _is_listening(child: subprocess.Popen[bytes], endpoint: str, within_s: float) -> bool:
    """Wait until the port is open; False where the process ended or the time is over."""
    port, until_s = int(endpoint.rpartition(":")[2]), time.monotonic() + within_s
    while child.poll() is None and time.monotonic() < until_s:
        with suppress(OSError), socket.create_connection(("localhost", port), timeout=1.0):
            return child.poll() is None
        time.sleep(_LOOK_S)
    return False


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Close the guard's standard input: it kills Prism, takes its status and ends. If it does not, kill both."""
    assert child.stdin is not None
    child.stdin.close()
    try:
        child.wait(_STOPS_WITHIN_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
