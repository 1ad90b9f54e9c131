"""The real command line in a child process, as a user or a scheduler starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb

from pipeline.catalog.views import connect
from tests.children import start_child

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "CARD_API_KEY": "test-key",
    "CARD_API_SECRET": "test-secret-9f2c",
}


def start(command: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a command in a process group of its own."""
    return start_child([sys.executable, "-m", "pipeline", command, *arguments], ROOT, ENVIRONMENT)


def run(command: str, *arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    child = start(command, *arguments)
    out, err = child.communicate(timeout=timeout_s)
    return subprocess.CompletedProcess(child.args, child.returncode, out, err)


def query(output: Path | str, statement: str) -> list[tuple[object, ...]]:
    """The rows of a query over the tables."""
    connection: duckdb.DuckDBPyConnection = connect(str(output))
    return connection.sql(statement).fetchall()
