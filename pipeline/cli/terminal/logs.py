"""The log on standard error: as lines of text, or with `--log_format=json` as one JSON object a line.

A JSON line has `at`, `level`, `stage` (the module), `event`, `message`, `run_id` while a run is in progress, and the
numbers that its call passed as `extra={"facts": {…}}`. Whatever else is written to standard error, a crash included,
becomes such lines too.
"""

from __future__ import annotations

import io
import logging
import sys
import traceback
from datetime import datetime, timezone
from types import TracebackType
from typing import Any, TextIO

import orjson

JSON = "json"
_TEXT_FORMAT = "%(asctime)s %(levelname)s %(message)s"
_run_id = ""
_handler: logging.Handler | None = None


def in_run(run_id: str) -> None:
    """Name the run in each line from now on."""
    global _run_id  # noqa: PLW0603  # one run at a time in a process
    _run_id = run_id


class JsonFormatter(logging.Formatter):
    """A record as JSON in one line. Of an exception its type and place are told: its message may hold a value."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        event = getattr(record, "event", "") or "log"
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "run_id": _run_id or None,
            "stage": record.module,
            "event": event,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line |= {"exception": type(record.exc_info[1]).__name__, "where": _places(record.exc_info[2])}
        known = {name: value for name, value in line.items() if value is not None}
        return orjson.dumps(known, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _places(trace: TracebackType | None) -> list[str]:
    return [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(trace)]


class LineLogger(io.TextIOBase):
    """A text stream whose lines are logged: what libraries and `print` write to standard error."""

    def __init__(self, logger: logging.Logger, stream: TextIO) -> None:
        self._logger, self._stream, self._open = logger, stream, ""

    def write(self, text: str) -> int:
        """Log what has come to its end."""
        *lines, self._open = (self._open + text).replace("\r", "\n").split("\n")
        for line in filter(str.strip, lines):
            self._logger.error("%s", line, extra={"event": "stderr"})
        return len(text)

    def flush(self) -> None:
        """The open line stays until its end."""
        self._stream.flush()

    def fileno(self) -> int:
        """That of the stream itself, for child processes."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """No: no bar is drawn."""
        return False


def configure_logging(log_format: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Our own lines from a level on; of libraries only what stops the run. A host's own handlers stay."""
    global _handler  # noqa: PLW0603  # logging is one for the process
    root, stream = logging.getLogger(), stream or _own_stderr()
    if _handler is not None:
        root.removeHandler(_handler)
    logging.getLogger("cardbeam").setLevel(level.upper())
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    if not root.handlers:
        root.setLevel(logging.ERROR)
    elif log_format != JSON:
        return
    _handler = logging.StreamHandler(stream)
    _handler.setFormatter(JsonFormatter() if log_format == JSON else logging.Formatter(_TEXT_FORMAT))
    root.addHandler(_handler)
    is_json = log_format == JSON
    sys.stderr = LineLogger(logging.getLogger("cardbeam"), stream) if is_json else stream
    sys.excepthook = _log_crash if is_json else sys.__excepthook__


def reconfigure_logging(log_format: str, level: str) -> None:
    """As `configure_logging`, in a process whose logging is ours."""
    if _handler is not None:
        configure_logging(log_format, level)


def _own_stderr() -> TextIO:
    """Standard error itself, if it was replaced before."""
    return sys.stderr._stream if isinstance(sys.stderr, LineLogger) else sys.stderr


def _log_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("cardbeam").critical(
        "crashed with %s", kind.__name__, exc_info=(kind, error, trace), extra={"event": "crash"}
    )
