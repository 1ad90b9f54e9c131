"""Kill a run at the very request to its store that a test names; or commands at any moment, over and over.

python -m tests.stores.killing --images=500 --kills=50
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from cardbeam.calls.worker import prefetch_slots
from cardbeam.storage.object_store import connect
from tests.pipeline import cli
from tests.pipeline.killing import Kills, answer, backfill_arguments, draw_images, kill_everything, say
from tests.servers import CardServer
from tests.stores.proxy import FaultProxy, InjectedFault, StoreRequest
from tests.stores.servers import KINDS, StoreServer

Moment = Callable[[StoreRequest], bool]

MOMENTS: dict[str, Moment] = {
    "first table": lambda request: request.kind == "put" and "/documents/" in request.key,
    "ledger": lambda request: request.kind == "put" and "/ledger/" in request.key,
    "clearing": lambda request: request.kind == "delete",
    "receipt": lambda request: request.kind == "put" and request.key.endswith("/receipt.json"),
    "report": lambda request: request.kind == "put" and request.key.endswith("/report.html"),
}
"""What the store is asked, in this order, once all calls are answered."""


def run_killed_at(moment: Moment, proxy: FaultProxy, command: str, *arguments: str) -> bool:
    """Run a command and kill it when it sends such a request, which the store does not get; whether there was one."""
    children: list[subprocess.Popen[str]] = []

    def kill(request: StoreRequest) -> InjectedFault | None:
        if not moment(request):
            return None
        with suppress(ProcessLookupError):
            os.killpg(children[0].pid, signal.SIGKILL)
        return InjectedFault.RESET

    children.append(cli.start(command, *arguments))
    proxy.decide = kill
    _, text = children[0].communicate()
    proxy.reset()
    assert children[0].returncode in (0, -signal.SIGKILL), text
    return children[0].returncode == -signal.SIGKILL


def main(arguments: Sequence[str]) -> int:
    """Kill commands whose output is in a bucket; each waits for the lock of the one before."""
    parser = argparse.ArgumentParser(prog="python -m tests.stores.killing", description=main.__doc__)
    parser.add_argument("--store", choices=tuple(KINDS), default="s3")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--in_flight", type=int, default=8)
    parser.add_argument("--latency_s", type=float, default=0.2)
    parser.add_argument("--flush_s", type=float, default=0.5)
    asked = parser.parse_args(list(arguments))
    kind = KINDS[asked.store]
    with (
        tempfile.TemporaryDirectory() as scratch,
        StoreServer(kind, Path(scratch, "store")) as store,
        CardServer(lambda got: answer(got, asked.latency_s), keeps_content=False) as server,
    ):
        for environment in (os.environ, cli.ENVIRONMENT):
            environment.update(kind.environment(store.url))
        connect.cache_clear()
        images, output = Path(scratch, "in"), f"{kind.uri}/out"
        draw_images(images, asked.images)
        given = backfill_arguments(server, images, output, asked.in_flight)
        late = (asked.flush_s + 0.5) * asked.in_flight / asked.latency_s  # a flush and a put at the rate of the calls
        kills = Kills.of(asked.kills, 2 * asked.flush_s, asked.in_flight + prefetch_slots(asked.in_flight) + late)
        return say(*kill_everything(server, images, [*given, f"--journal_flush_s={asked.flush_s}"], output, kills))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
