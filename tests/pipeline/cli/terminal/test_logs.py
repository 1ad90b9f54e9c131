"""With --log_format=json each line of standard error is a JSON object, in a crash too, and none quotes an exception."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cli.terminal.logs import configure_logging, in_run
from tests.pipeline.cli import ENVIRONMENT, ROOT, run

CRASH = """
import logging, sys, warnings
from pipeline.cli.terminal.logs import configure_logging, in_run
configure_logging("json")
logging.getLogger("cardbeam").info("run %s: started", "r1", extra={"event": "started", "facts": {"found": 3}})
in_run("r1")
print("a library\\nprints", file=sys.stderr)
warnings.warn("odd")
raise ValueError("NGUYỄN VĂN MẪU")
"""


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where JSON lines go; logging is as before afterwards."""
    stream, root = io.StringIO(), logging.getLogger()
    before = (root.handlers[:], root.level, sys.stderr, sys.excepthook, logging.getLogger("cardbeam").level)
    configure_logging("json", "info", stream)
    yield stream
    root.handlers, root.level, sys.stderr, sys.excepthook, logging.getLogger("cardbeam").level = before
    in_run("")


def test_a_line_has_its_run_its_event_and_its_numbers(stream: io.StringIO) -> None:
    log = logging.getLogger("cardbeam")
    in_run("r1")
    log.info("%d of %d", 1, 2, extra={"event": "progress", "facts": {"found": 2, "left": None}})
    log.debug("not shown")
    line = json.loads(stream.getvalue())
    assert line.pop("at").endswith("+00:00")
    assert line == {
        **{"level": "info", "run_id": "r1", "stage": "test_logs", "event": "progress"},
        **{"message": "1 of 2", "found": 2},
    }


def test_a_crash_is_json_line_by_line() -> None:
    """Also what was printed and warned; the exception's message, which may be of a card, is left out."""
    ended = subprocess.run(
        [sys.executable, "-c", CRASH],
        check=False,
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [(line["event"], line.get("run_id")) for line in lines[:3]] == [
        ("started", None), ("stderr", "r1"), ("stderr", "r1")
    ]  # fmt: skip
    assert (lines[0]["found"], lines[-1]["event"], lines[-1]["exception"], ended.returncode) == (
        *(3, "crash", "ValueError", 1),
    )
    assert "NGUY" not in ended.stderr


@pytest.mark.slow
def test_a_wrong_option_is_json_too(tmp_path: Path) -> None:
    ended = run("backfill", f"--output={tmp_path}", "--log_format=json", "--outptu=3")
    (line,) = [json.loads(line) for line in ended.stderr.splitlines()]
    assert (ended.returncode, line["event"], "unknown option --outptu" in line["message"]) == (2, "stderr", True)
