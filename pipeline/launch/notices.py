"""Notices of a run to a webhook: started, ended, stopped, a failed check, 80 % of a budget.

Each is a POST of JSON with `event`, `run_id`, `command`, `output`, `at` and `text`, which chat services show; the last
ones have the receipt's status, counts, calls, cost and checks. A notice is retried, and never delays or fails a run.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

import requests
import tenacity

from cardbeam.config.settings import RateSettings
from cardbeam.run_state.receipt import Receipt
from pipeline.report.checks import FAILED
from pipeline.runs.display.status import Status
from pipeline.runs.registry import Run

_LOG = logging.getLogger("cardbeam")
_TIMEOUT_S = 10.0
_ATTEMPTS = 5
_DELIVERED_WITHIN_S = 30.0
"""So long a run that has ended waits for its last notices."""
_BUDGET_SHARE = 0.8
_RECEIPT_FIELDS = ("status", "message", "requests", "calls", "documents", "dead_letters", "cost", "checks")
Post = Callable[[str, dict[str, Any]], None]


def post(url: str, notice: dict[str, Any]) -> None:
    """Send one notice.

    Raises:
        requests.RequestException: it was not taken.
    """
    requests.post(url, json=notice, timeout=_TIMEOUT_S).raise_for_status()


class Notices:
    """Sends what a run has to tell, in order, beside the run."""

    def __init__(
        self, url: str, run: Run, output: str, rate: RateSettings, *, send: Post = post, wait_s: float = 1.0
    ) -> None:
        self._url, self._run, self._output, self._rate, self._send = url, run, output, rate, send
        self._wait_s = wait_s
        self._queue: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._is_budget_told = False
        self._thread = threading.Thread(target=self._deliver, name="notices", daemon=True)
        self._thread.start()

    def tell(self, event: str, text: str, receipt: Receipt | None = None) -> None:
        """Queue one notice."""
        if not self._url:
            return
        facts = {name: getattr(receipt, name) for name in _RECEIPT_FIELDS} if receipt else {}
        at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        about = {"run_id": self._run.run_id, "command": self._run.command, "output": self._output, "at": at}
        text = f"cardbeam {self._run.command} {self._run.run_id}: {text}"
        self._queue.put({"event": event, **about, "text": text, **facts})

    def tell_end(self, receipt: Receipt) -> None:
        """How the run ended, after what is told of its budget and its checks."""
        self._tell_budget(receipt.calls["sent"], receipt.cost)
        failed = [check["name"] for check in receipt.checks if check["status"] == FAILED]
        if failed:
            self.tell("check_failed", f"failed checks: {', '.join(failed)}", receipt)
        event = "ended" if receipt.status == "complete" else "stopped"
        counts = ", ".join(f"{count:,} {name}" for name, count in receipt.requests.items() if count)
        self.tell(event, f"{receipt.status}; {receipt.message or counts}", receipt)

    def observe(self, status: Status) -> None:
        """See in a run in progress whether most of a budget is used."""
        self._tell_budget(status.calls, status.completed["succeeded"] * self._rate.price_per_call)

    def _tell_budget(self, calls: int, cost: float) -> None:
        shares = [(calls, self._rate.max_calls, "calls"), (cost, self._rate.max_cost, "cost")]
        for used, bound, what in shares:
            if bound and used >= _BUDGET_SHARE * bound and not self._is_budget_told:
                self._is_budget_told = True
                self.tell("budget", f"{used / bound:.0%} of the {what} budget is used: {used:,} of {bound:,}")

    def close(self, timeout_s: float = _DELIVERED_WITHIN_S) -> None:
        """Wait for what is queued."""
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _deliver(self) -> None:
        retried = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_exponential(self._wait_s),
            retry=tenacity.retry_if_exception_type(requests.RequestException),
            reraise=True,
        )
        while (notice := self._queue.get()) is not None:
            try:
                retried(self._send, self._url, notice)
            except requests.RequestException as error:  # its message may quote the URL, which may hold a secret
                host = urlsplit(self._url).hostname
                _LOG.warning("notice '%s' not delivered to %s: %s", notice["event"], host, type(error).__name__)


@contextmanager
def opened_notices(url: str, run: Run, output: str, rate: RateSettings) -> Iterator[Notices]:
    """The notices of a run, which begin with its start; those that are queued when the block ends are sent."""
    notices = Notices(url, run, output, rate)
    notices.tell("started", "started")
    try:
        yield notices
    except BaseException as error:  # also of KeyboardInterrupt somebody is told
        notices.tell("stopped", f"ended by {type(error).__name__}")
        raise
    finally:
        notices.close()
