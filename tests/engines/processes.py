"""Processes of this machine: free ports for them, what they started, their end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil


def free_ports(count: int) -> Iterator[int]:
    """Ports that nobody listened at a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return iter(ports)


def children(pid: int) -> list[psutil.Process]:
    """All that it started, and what that started."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def command_of(process: psutil.Process) -> str:
    """Its command line; nothing where it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def kill_tree(child: subprocess.Popen[Any]) -> None:
    """`kill -9` of it first, so that it cannot start others, then what it had started."""
    started = children(child.pid)
    with suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGKILL)
    for process in started:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    child.wait()


def wait_for_end(pid: int, within_s: float = 20.0) -> bool:
    """Whether a process has ended within some time; a zombie has."""
    until_s = time.monotonic() + within_s
    while not (ended := _has_ended(pid)) and time.monotonic() < until_s:
        time.sleep(0.02)
    return ended


def _has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
