"""Kill a run at the very request to its store that a test names: in mid-publish, say."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress

from tests.pipeline import cli
from tests.stores.proxy import Fault, FaultProxy, StoreRequest

Moment = Callable[[StoreRequest], bool]

MOMENTS: dict[str, Moment] = {
    "first table": lambda request: request.kind == "put" and "/documents/" in request.key,
    "ledger": lambda request: request.kind == "put" and "/ledger/" in request.key,
    "clearing": lambda request: request.kind == "delete",
    "receipt": lambda request: request.kind == "put" and request.key.endswith("/receipt.json"),
    "report": lambda request: request.kind == "put" and request.key.endswith("/report.html"),
}
"""What the store is asked, in this order, once all calls are answered."""


def run_killed_at(moment: Moment, proxy: FaultProxy, verb: str, *arguments: str) -> bool:
    """Run a verb and kill it when it sends such a request, which the store does not get; whether there was one."""
    children: list[subprocess.Popen[str]] = []

    def kill(request: StoreRequest) -> Fault | None:
        if not moment(request):
            return None
        with suppress(ProcessLookupError):
            os.killpg(children[0].pid, signal.SIGKILL)
        return Fault.RESET

    children.append(cli.start(verb, *arguments))
    proxy.decide = kill
    _, said = children[0].communicate()
    proxy.reset()
    assert children[0].returncode in (0, -signal.SIGKILL), said
    return children[0].returncode == -signal.SIGKILL
