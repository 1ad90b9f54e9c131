"""The promise of "paid once" with both ends in each of the three stores: kills, second runs, duplicates.

python -m tests.stores.paid_once --images=500 --kills=5
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cardbeam.storage.folder import open_folder
from cardbeam.storage.object_store import connect
from tests.engines.install import NotInstalled
from tests.pipeline import cli
from tests.pipeline.killing import kill_and_resume, kill_while_publishing
from tests.servers import CardServer
from tests.stores.killing import MOMENTS, run_killed_at
from tests.stores.proxy import FaultProxy
from tests.stores.runs import Ends, answer_by_content, ids_of
from tests.stores.servers import KINDS, Kind, StoreServer

IN_FLIGHT, LATENCY_S, LONGEST_S = 16, 0.05, 2.0
NEW = 10
"""Images that a run which is killed in its publishing has to call."""


@dataclass(frozen=True, slots=True)
class Step:
    """What was done, what came of it in figures, whether it is as promised."""

    done: str
    came: str
    is_kept: bool


def draw(number: int) -> bytes:
    """A small image, no two alike."""
    out = io.BytesIO()
    Image.new("RGB", (24, 16), (number % 256, number // 256 % 256, number // 65536)).save(out, "PNG")
    return out.getvalue()


class PaidOnce:
    """One store's walk; each step goes on with what the one before it left."""

    def __init__(self, ends: Ends, proxy: FaultProxy, server: CardServer, images: int, kills: int) -> None:
        self._ends, self._proxy, self._server, self._kills = ends, proxy, server, kills
        self._contents = {f"{number:06}.jpg": draw(number) for number in range(images)}
        self._given = ends.arguments(server, f"--max_in_flight={IN_FLIGHT}")
        self._publish = [f"--output={ends.output.root}"]

    def steps(self) -> Iterator[Step]:
        """All of them."""
        self._ends.put(self._contents)
        yield self._killed_in_calls()
        yield from map(self._killed_at, MOMENTS)
        yield self._publish_killed()
        yield self._second_run()
        yield self._copies_and_renames()
        yield self._left_over()

    def _rows(self) -> tuple[str, bool]:
        ids = [row["id"] for row in self._ends.rows("documents/type=passport")]
        return f"rows {len(ids)}, different {len(set(ids))}", sorted(ids) == sorted(ids_of(self._contents))

    def _killed_in_calls(self) -> Step:
        killed = kill_and_resume(self._server, self._given, self._kills, LONGEST_S)
        rows, is_whole = self._rows()
        came = f"calls {killed.calls}, paid twice {killed.paid_twice}, {rows}"
        return Step(f"{killed.kills} kills in calls", came, is_whole and killed.kills == self._kills)

    def _killed_at(self, name: str) -> Step:
        """A run whose calls are all answered is killed as it publishes, and goes on without a call."""
        first = len(self._contents)
        new = {f"{number:06}.jpg": draw(number) for number in range(first, first + NEW)}
        self._ends.put(new)
        self._contents |= new
        calls = self._server.calls.total()
        is_hit = run_killed_at(MOMENTS[name], self._proxy, "backfill", *self._given)
        assert cli.run("backfill", *self._given).returncode == 0
        paid = self._server.calls.total() - calls
        rows, is_whole = self._rows()
        return Step(f"killed at: {name}", f"{NEW} new, calls {paid}, {rows}", is_hit and is_whole and paid == NEW)

    def _publish_killed(self) -> Step:
        calls = self._server.calls.total()
        hit = kill_while_publishing(self._publish, self._kills)
        hit += sum(
            run_killed_at(MOMENTS[name], self._proxy, "publish", *self._publish) for name in ("ledger", "clearing")
        )
        assert cli.run("publish", *self._publish).returncode == 0
        rows, is_whole = self._rows()
        is_kept = is_whole and hit > 0 and self._server.calls.total() == calls
        return Step(f"{hit} kills in publish", f"calls {self._server.calls.total() - calls}, {rows}", is_kept)

    def _second_run(self) -> Step:
        calls = self._server.calls.total()
        self._proxy.reset()
        assert cli.run("backfill", *self._given).returncode == 0
        opened = sum(one.kind in ("get", "head") and "/in/" in one.key for one in self._proxy.seen)
        paid = self._server.calls.total() - calls
        return Step("second run", f"calls {paid}, images opened {opened}", (paid, opened) == (0, 0))

    def _copies_and_renames(self) -> Step:
        calls, names = self._server.calls.total(), list(self._contents)
        self._ends.put({f"again/{name}": self._contents[name] for name in names[: 2 * NEW]})
        self._ends.images.delete(names[:NEW])
        assert cli.run("backfill", *self._given).returncode == 0
        paid = self._server.calls.total() - calls
        rows, is_whole = self._rows()
        return Step(f"{NEW} renamed, {NEW} copied", f"calls {paid}, {rows}", is_whole and paid == 0)

    def _left_over(self) -> Step:
        """Objects that no receipt names and that are no run's own."""
        named = {file["path"] for receipt in self._ends.receipts() for file in receipt["files"]}
        own = ("run.json", "counts.json", "receipt.json", "report.html", "runs/index.html")
        found = self._ends.paths("")
        strays = [path for path in found if path not in named and not path.endswith(own)]
        return Step("objects at the end", f"{len(found)}, of them strays {len(strays)} {strays[:3] or ''}", not strays)


def walk(kind: Kind, images: int, kills: int) -> Iterator[Step]:
    """Start a store and take all steps over it."""
    answer = answer_by_content(LATENCY_S)
    with (
        tempfile.TemporaryDirectory() as scratch,
        StoreServer(kind, Path(scratch, "store")) as store,
        FaultProxy(store.url, speaks_xml=kind.speaks_xml) as proxy,
        CardServer(answer, keeps_content=False) as server,
    ):
        for environment in (os.environ, cli.ENVIRONMENT):
            environment.update(kind.environment(proxy.url))
        connect.cache_clear()
        ends = Ends(open_folder(f"{kind.uri}/in"), open_folder(f"{kind.uri}/out"))
        yield from PaidOnce(ends, proxy, server, images, kills).steps()


def main(arguments: Sequence[str]) -> int:
    """Print the matrix; a line that begins with NO is a promise that was not kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.stores.paid_once", description=main.__doc__)
    parser.add_argument("--stores", nargs="*", choices=tuple(KINDS), default=tuple(KINDS))
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--kills", type=int, default=5, help="In calls, and again in publish; each waits for a claim.")
    asked = parser.parse_args(list(arguments))
    are_kept = True
    for scheme in asked.stores:
        print(KINDS[scheme].name, flush=True)
        try:
            for step in walk(KINDS[scheme], asked.images, asked.kills):
                print(f"  {'' if step.is_kept else 'NO':<3}{step.done:<24} {step.came}", flush=True)
                are_kept = are_kept and step.is_kept
        except NotInstalled as missing:
            print(f"  NO {missing}")
            are_kept = False
    return 0 if are_kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
