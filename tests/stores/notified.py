"""Put images into a bucket that is watched twice at once, by looking and by notification; print when rows came.

python -m tests.stores.notified
python -m tests.stores.notified --runner=flink --parallelism=1
python -m tests.stores.notified --kills=2 --journal_flush_s=0.2
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from cardbeam.storage.folder import Folder, open_folder
from tests.engines.dropping import Seen
from tests.engines.watching import RUNNERS
from tests.pipeline import cli
from tests.pipeline.killing import answer, draw_images
from tests.servers import Answer, CardServer
from tests.stores.broker import Broker
from tests.stores.servers import S3, StoreServer
from tests.wire import Received, key_of

TOPIC = "new-objects"
_LATENCY_S = 0.3
_LOOK_S = 0.25
_ALL_WITHIN_S = 240.0


@dataclass
class Way:
    """One of the two watches, and when it called and showed what."""

    name: str
    seen: Seen
    given: tuple[str, ...] = ()
    calls: int = 0
    called_at_s: dict[str, float] = field(default_factory=dict)

    def response(self, got: Received) -> Answer:
        """Answer as the endpoint does; remember when."""
        self.calls += 1
        self.called_at_s.setdefault(key_of(got.images[0].content), time.monotonic())
        return answer(got, _LATENCY_S)

    def start(self) -> None:
        """Begin, or go on."""
        command = [sys.executable, "-m", "pipeline", "watch", *self.given]
        self._child = subprocess.Popen(
            command, cwd=cli.ROOT, env=cli.ENVIRONMENT, stdout=sys.stderr, start_new_session=True
        )

    def kill(self) -> None:
        """All that it started on this machine, if it still runs."""
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()

    def end(self) -> None:
        """In order."""
        self._child.send_signal(signal.SIGTERM)
        self._child.wait(timeout=_ALL_WITHIN_S)

    def say(self, put: Mapping[str, Put]) -> str:
        """What came of it, in words."""
        called_s = [self.called_at_s[one.key] - one.at_s for one in put.values()]
        shown_s = [self.seen.at_s[name] - one.at_s for name, one in put.items()]
        ((rows, different),) = cli.query(
            self.seen.folder.root, "SELECT count(*), count(DISTINCT item_id) FROM passport"
        )
        return (
            f"{self.name}: to the call {median(called_s):.1f} s median, {max(called_s):.1f} s worst; "
            f"to the row {median(shown_s):.1f} s median, {max(shown_s):.1f} s worst; "
            f"{rows} rows, {different} different, {self.calls - len(self.called_at_s)} paid twice"
        )


@dataclass(frozen=True, slots=True)
class Put:
    """When an image was put, and the hash of it."""

    key: str
    at_s: float


def measure(scratch: Path, asked: argparse.Namespace, options: Sequence[str]) -> Iterator[str]:
    """Watch twice, put the images; what came of each watch, in words."""
    draw_images(scratch / "drawn", asked.images + 1)
    first, *others = sorted((scratch / "drawn").iterdir())
    with ExitStack() as running:
        broker = running.enter_context(Broker(scratch / "broker"))
        broker.create(TOPIC)
        reported = {"VGW_EVENT_KAFKA_URL": broker.address, "VGW_EVENT_KAFKA_TOPIC": TOPIC}
        store = running.enter_context(StoreServer(S3, scratch / "store", **reported))
        os.environ.update(S3.environment(store.url))
        cli.ENVIRONMENT.update(S3.environment(store.url))
        engine = running.enter_context(RUNNERS[asked.runner](scratch / "engine"))
        inputs = open_folder(f"{S3.uri}/in")
        inputs.write(first.name, first.read_bytes())
        polls = running.enter_context(_begun("looking", [f"--input={inputs.root}", *engine, *options]))
        receive = [f"--notifications=kafka://{broker.secret_address}/{TOPIC}"]
        receive.append(f"--kafka_config_uri={broker.client_config(scratch / 'client.json')}")
        hears = running.enter_context(_begun("notification", [f"--input={inputs.root}", *receive, *engine, *options]))

        def fall_over() -> None:
            hears.kill()
            broker.stop()
            broker.start()
            hears.start()

        put = dict(_put(others, inputs, asked.over_s, asked.kills, fall_over))
        _wait(lambda: len(polls.seen.at_s) == len(hears.seen.at_s) == asked.images + 1)
        for way in (polls, hears):
            way.end()
            yield way.say(put)


def _put(
    paths: Sequence[Path], folder: Folder, over_s: float, kills: int, fall_over: Callable[[], None]
) -> Iterator[tuple[str, Put]]:
    began_s = time.monotonic()
    for number, path in enumerate(paths):
        time.sleep(max(0.0, began_s + over_s * number / len(paths) - time.monotonic()))
        if (number + 1) % (len(paths) // (kills + 1) + 1) == 0:
            fall_over()
        content = path.read_bytes()
        folder.write(path.name, content)
        yield path.name, Put(key_of(content), time.monotonic())


@contextmanager
def _begun(name: str, given: Sequence[str]) -> Iterator[Way]:
    """A watch with an endpoint of its own, from its first row on; killed at the end of the block if it still runs."""
    output = open_folder(f"{S3.uri}/{name}")
    way = Way(f"by {name}", Seen(output))
    with CardServer(way.response, keeps_content=False) as server, _again(way.seen.poll):
        way.given = (f"--output={output.root}", f"--endpoint_url={server.base_url}", *given)
        way.start()
        try:
            _wait(lambda: bool(way.seen.at_s))
            yield way
        finally:
            way.kill()


@contextmanager
def _again(check: Callable[[], None]) -> Iterator[None]:
    """Look again and again beside the block."""
    over = threading.Event()

    def polls() -> None:
        while not over.wait(_LOOK_S):
            check()

    thread = threading.Thread(target=polls, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _wait(is_there: Callable[[], bool]) -> None:
    until_s = time.monotonic() + _ALL_WITHIN_S
    while not is_there():
        if time.monotonic() > until_s:
            raise TimeoutError("the rows did not come")
        time.sleep(_LOOK_S)


def main(arguments: Sequence[str]) -> int:
    """Some images over a minute, with the defaults; further options go to both watches."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--runner", choices=tuple(RUNNERS), default="prism")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--over_s", type=float, default=60.0)
    parser.add_argument("--kills", type=int, default=0, help="of the watch by notification, and of the broker with it")
    asked, options = parser.parse_known_args(list(arguments))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the cluster goes with it
    with tempfile.TemporaryDirectory() as scratch:
        for line in measure(Path(scratch), asked, options):
            print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
