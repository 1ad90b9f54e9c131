"""A watch of many minutes over faults, an outage and kills; tells what it held and what became of each image.

python -m tests.engines.soak --minutes=45
python -m tests.engines.soak --minutes=45 --pairs --kill_every_s=180
python -m tests.engines.soak --minutes=45 --runner=flink
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from cardbeam.run_state.receipt import read_receipt
from cardbeam.storage.folder import LocalFolder
from cardbeam.watch.retry_schedule import RETRIES_FILE
from pipeline.runs.registry import ended_runs
from tests.engines.dropping import beside, sleep_until
from tests.engines.soak_endpoint import POISONOUS, SICK_FOR_S, SoakEndpoint
from tests.engines.watching import RUNNERS
from tests.pipeline import cli
from tests.pipeline.killing import draw_images
from tests.wire import key_of

_LONE_EACH = 20
"""One side of so many stays alone."""
_LATEST_BACK_S = 200.0
_SAMPLES = (1 / 9, 1 / 3, 2 / 3, 1.0)
"""Parts of the time after which is looked what the processes hold: 5, 15, 30 and 45 minutes of 45."""
_KINDS = {"-m pipeline watch": "launcher", "sdk_worker_main": "workers", "java": "java", "prism": "prism"}
_END_WITHIN_S = 600.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What is done for how long."""

    minutes: float
    rate: float
    faults: float
    poison: bool
    sick: bool
    outage_s: float
    kill_every_s: float
    settle_s: float
    pairs: bool

    @property
    def over_s(self) -> float:
        """How long images come."""
        return self.minutes * 60

    @property
    def images(self) -> int:
        """How many requests come."""
        return max(1, round(self.over_s * self.rate))


@dataclass
class Soak:
    """What came of it."""

    asked: Asked
    samples: list[dict[str, object]] = field(default_factory=list)
    launches: int = 0
    may_be_lost: int = 0
    ends: list[int] = field(default_factory=list)
    end_s: float = 0.0
    """From the last response, or SIGTERM if that is later, to the end of the watch."""
    failures: list[str] = field(default_factory=list)
    counts: dict[str, object] = field(default_factory=dict)


class _Watch:
    """The watch, begun again whenever it has ended."""

    def __init__(self, given: Sequence[str], log: Path, environment: dict[str, str]) -> None:
        self._command = [sys.executable, "-m", "pipeline", "watch", *given]
        self._log, self._environment = log.open("ab"), environment
        self.launches, self.ends = 0, list[int]()
        self.child = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self.launches += 1
        return subprocess.Popen(
            self._command,
            cwd=cli.ROOT,
            env=self._environment,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def observe(self) -> None:
        """Begin it again if it has ended."""
        if self.child.poll() is not None:
            self.ends.append(self.child.returncode)
            time.sleep(2.0)
            self.child = self._start()

    def kill(self) -> None:
        """`kill -9` of the launching process alone."""
        self.child.kill()
        self.child.wait()
        self.observe()

    def __enter__(self) -> _Watch:
        return self

    def __exit__(self, *_: object) -> None:
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()

    def end(self) -> int:
        """SIGTERM; the exit status."""
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(timeout=_END_WITHIN_S)


def soak(scratch: Path, options: Sequence[str], asked: Asked) -> Soak:
    """Run it, and hold the tables against what was dropped and what the endpoint did."""
    result, endpoint = Soak(asked), SoakEndpoint(asked.faults, asked.poison, asked.sick)
    inputs, output, temporary = scratch / "in", scratch / "out", scratch / "tmp"
    inputs.mkdir()
    temporary.mkdir()
    draw_images(scratch / "drawn", asked.images * (2 if asked.pairs else 1))
    dropped: dict[tuple[str, ...], str] = {}
    with endpoint.serving() as url:
        given = [f"--input={inputs}", f"--output={output}", f"--endpoint_url={url}", "--timeout_s=20", *options]
        given += ["--operation=ekyc/cards"] if asked.pairs else []
        environment = {**cli.ENVIRONMENT, "TMPDIR": str(temporary)}
        with _Watch(given, scratch / "watch.log", environment) as watch:
            began_s, drawn = time.monotonic(), scratch / "drawn"
            with beside(lambda: _drop(drawn, inputs, asked, dropped)), beside(lambda: _outage(endpoint, asked)):
                _attend(watch, endpoint, result, scratch, began_s)
            _wait_for_rest(watch, endpoint, result, output, dropped)
            signalled_s = time.monotonic()
            watch.ends.append(watch.end())
            result.end_s = time.monotonic() - max(signalled_s, endpoint.last_s)
    result.launches, result.ends = watch.launches, watch.ends
    _check(result, endpoint, output, dropped)
    return result


def _drop(drawn: Path, inputs: Path, asked: Asked, dropped: dict[tuple[str, ...], str]) -> None:
    """Put images into the folder over time; of pairs the back later than the front, and sometimes not at all."""
    began_s, chance, images = time.monotonic(), random.Random(2), sorted(drawn.iterdir())
    backs: list[tuple[float, Path, str]] = []
    for number in range(asked.images):
        at_s = began_s + asked.over_s * number / asked.images
        while backs and min(backs)[0] < at_s:
            _put_back(backs, inputs)
        sleep_until(at_s)
        front = images[number * (2 if asked.pairs else 1)]
        name = f"front-{front.name}" if asked.pairs else front.name
        shutil.copyfile(front, inputs / name)
        if not asked.pairs:
            dropped[(name,)] = key_of(front.read_bytes())
        elif number % _LONE_EACH == 0:
            dropped[(name,)] = ""
        else:
            back, other = images[number * 2 + 1], f"back-{front.name}"
            late_s = chance.choice([0.0, 1.0, 5.0, _LATEST_BACK_S])
            backs.append((time.monotonic() + min(late_s, asked.over_s / 2), back, other))
            dropped[(name, other)] = key_of(front.read_bytes(), back.read_bytes())
    while backs:
        _put_back(backs, inputs)


def _put_back(backs: list[tuple[float, Path, str]], inputs: Path) -> None:
    next_one = min(backs)
    sleep_until(next_one[0])
    shutil.copyfile(next_one[1], inputs / next_one[2])
    backs.remove(next_one)


def _outage(endpoint: SoakEndpoint, asked: Asked) -> None:
    if asked.outage_s:
        time.sleep(asked.over_s * 0.4)
        _log("the endpoint refuses connections")
        endpoint.down()
        time.sleep(asked.outage_s)
        endpoint.up()
        _log("the endpoint is back")


def _attend(watch: _Watch, endpoint: SoakEndpoint, result: Soak, scratch: Path, began_s: float) -> None:
    """Begin it again where it ends, kill it, and look what it holds, until all images have come."""
    asked, due = result.asked, [began_s + part * result.asked.over_s for part in _SAMPLES]
    kill_s = began_s + (asked.kill_every_s or float("inf"))
    while due:
        watch.observe()
        if time.monotonic() >= kill_s:
            kill_s += asked.kill_every_s
            result.may_be_lost += endpoint.may_be_lost()
            watch.kill()
        if time.monotonic() >= due[0]:
            due.pop(0)
            result.samples.append(sample(scratch, time.monotonic() - began_s))
            _log(json.dumps(result.samples[-1]))
        time.sleep(0.5)


def _wait_for_rest(
    watch: _Watch, endpoint: SoakEndpoint, result: Soak, output: Path, dropped: dict[tuple[str, ...], str]
) -> None:
    """Wait until each image has its row or dead letter, and each that has healed its row; for a time, at the most."""
    asked = result.asked
    until_s, kill_s = time.monotonic() + asked.settle_s, time.monotonic() + (asked.kill_every_s or float("inf"))
    while time.monotonic() < until_s:
        watch.observe()
        if time.monotonic() >= kill_s:
            kill_s += asked.kill_every_s
            result.may_be_lost += endpoint.may_be_lost()
            watch.kill()
        with suppress(Exception):  # between two publications a table may be gone; the next look is soon
            rows, failed_record = _rows(output)
            left = {
                endpoint.kind_of(dropped[uris]) for uris in dropped if uris not in rows and uris not in failed_record
            }
            is_healed = all(
                _is_final(endpoint, dropped[uris], code) for uris, code in failed_record.items() if uris in dropped
            )
            if is_healed and left <= POISONOUS.keys():
                return
        time.sleep(5.0)


def _is_final(endpoint: SoakEndpoint, key: str, code: str) -> bool:
    """Whether a dead letter stays one."""
    return not key or endpoint.kind_of(key) == code or code == "unsupported_format"


def _rows(output: Path) -> tuple[Counter[tuple[str, ...]], dict[tuple[str, ...], str]]:
    """How many rows each request has, and the code of its open dead letter, by the names of its files."""
    rows = Counter(_names(row[0]) for row in cli.query(output, "SELECT uris FROM documents"))
    failed_record = cli.query(output, "SELECT uris, code FROM dead_letters_open")
    return rows, {_names(uris): str(code) for uris, code in failed_record}


def _waiting(output: Path) -> set[tuple[str, ...]]:
    """The images that are sent again later."""
    try:
        kept = json.loads((output / RETRIES_FILE).read_bytes())
    except FileNotFoundError:
        return set()
    return {tuple(Path(uri).name for uri in uris) for _due, _failures, _seen, _code, _source, *uris in kept}


def _names(uris: object) -> tuple[str, ...]:
    assert isinstance(uris, list)
    return tuple(Path(uri).name for uri in uris)


def _check(result: Soak, endpoint: SoakEndpoint, output: Path, dropped: dict[tuple[str, ...], str]) -> None:
    """Every image one row or a dead letter with a reason of its own, none paid twice, no end that nobody asked for."""
    rows, failed_record = _rows(output)
    kinds = {uris: endpoint.kind_of(key) if key else "unpaired" for uris, key in dropped.items()}
    waiting = _waiting(output)
    without = [uris for uris in dropped if uris not in rows and uris not in failed_record and uris not in waiting]
    late = {uris: kinds[uris] for uris in waiting if kinds.get(uris, "") not in POISONOUS}
    twice = [uris for uris, count in rows.items() if count > 1 or uris in failed_record]
    buried = {uris: code for uris, code in failed_record.items() if kinds.get(uris, "") in ("", "sick")}
    paid = sum(count - 1 for count in endpoint.successes.values() if count > 1)
    expected = 1 + round(result.asked.over_s // result.asked.kill_every_s) if result.asked.kill_every_s else 1
    folder = LocalFolder(str(output))
    receipts = [one for run_id in ended_runs(folder) if (one := read_receipt(folder, run_id))]
    for problem, found in {
        "neither a row nor a dead letter, and no retry": without[:5],
        "retries that were due, or are of images that can be read": dict(list(late.items())[:5]),
        "more than one row, or a row and a dead letter": twice[:5],
        "dead letters of images that can be read": dict(list(buried.items())[:5]),
        "images that nobody dropped": [uris for uris in rows.keys() | failed_record.keys() if uris not in dropped][:5],
        "receipts that are not reconciled": [one.run_id for one in receipts if not one.reconciled],
        "ends that nobody asked for": [code for code in result.ends if code not in (0, -signal.SIGKILL)],
        f"paid twice, beyond the {result.may_be_lost} in flight at kills": max(0, paid - result.may_be_lost),
        "launches beyond the kills": max(0, result.launches - expected) if not result.asked.kill_every_s else 0,
    }.items():
        if found:
            result.failures.append(f"{problem}: {found}")
    healed_s = [
        endpoint.answered_s[key] - endpoint.first_s[key] - SICK_FOR_S
        for key in endpoint.answered_s
        if endpoint.is_sick(key)
    ]
    result.counts = {
        "requests": len(dropped),
        "rows": sum(rows.values()),
        "dead": dict(Counter(failed_record.values())),
        "buried": len(buried),
        "wait for a retry": dict(Counter(kinds.get(uris, "?") for uris in waiting)),
        "without": len(without),
        "sides that stayed alone": list(kinds.values()).count("unpaired"),
        "calls": sum(endpoint.calls.values()),
        "faults": dict(endpoint.faults),
        "paid twice": paid,
        "in flight at kills": result.may_be_lost,
        "healed, s until answered": [round(one) for one in sorted(healed_s)],
        "sick still": sum(kind == "sick" and uris not in rows for uris, kind in kinds.items()),
        "runs": dict(Counter(one.status for one in receipts)),
    }


def sample(scratch: Path, at_s: float) -> dict[str, object]:
    """Memory, threads and descriptors of the processes by kind, and files of the output by table."""
    held: dict[str, Counter[str]] = {}
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            command = " ".join(process.cmdline())
            kind = next((kind for part, kind in _KINDS.items() if part in command and "guard.py" not in command), "")
            if kind:
                of_kind = held.setdefault(kind, Counter())
                of_kind["rss_mb"] += process.memory_info().rss // 2**20
                of_kind["fds"] += process.num_fds()
                of_kind["threads"] += process.num_threads()
                of_kind["cpu_s"] += int(sum(process.cpu_times()[:2]))
    output = scratch / "out"
    files = Counter(path.relative_to(output).parts[0] for path in output.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    temporary = sum(1 for path in (scratch / "tmp").rglob("*") if path.is_file())
    asked = cli.run("status", f"--output={output}")
    return {
        "at_s": round(at_s),
        **{kind: dict(counted) for kind, counted in held.items()},
        "files": dict(files),
        "output_mb": round(size / 2**20, 1),
        "temporary_files": temporary,
        "status": [asked.returncode, *asked.stdout.splitlines()],
    }


def _log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def say(result: Soak) -> Iterator[str]:
    """What came of it, in words."""
    yield f"asked {asdict(result.asked)}"
    yield from (f"{name}: {value}" for name, value in result.counts.items())
    yield f"launches {result.launches}, ends {result.ends}; from the last response to the end {result.end_s:.1f} s"
    yield f"problems: {result.failures or 'none'}"


def main(arguments: Sequence[str]) -> int:
    """Minutes of a watch; the exit status says whether all was held."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--runner", choices=tuple(RUNNERS), default="prism")
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--rate", type=float, default=1.0, help="Images, or pairs, a second.")
    parser.add_argument("--faults", type=float, default=0.15, help="Share of the calls that fail for a moment.")
    parser.add_argument("--no_poison", action="store_true", help="No image that is answered like a wrong call.")
    parser.add_argument("--no_sick", action="store_true", help="No image that fails for minutes or for good.")
    parser.add_argument("--outage_s", type=float, default=120.0)
    parser.add_argument("--kill_every_s", type=float, default=0.0)
    parser.add_argument("--settle_s", type=float, default=900.0, help="How long is waited for what is due later.")
    parser.add_argument("--pairs", action="store_true", help="Cards with two sides, one of twenty with one.")
    parser.add_argument("--scratch", default="", help="A folder that is kept; default a temporary one.")
    given, options = parser.parse_known_args(list(arguments))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the cluster goes with it
    asked = Asked(
        given.minutes,
        given.rate,
        given.faults,
        not given.no_poison,
        not given.no_sick,
        given.outage_s,
        given.kill_every_s,
        given.settle_s,
        given.pairs,
    )
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(given.scratch or temporary)
        scratch.mkdir(parents=True, exist_ok=True)
        with RUNNERS[given.runner](scratch / "engine") as engine:
            result = soak(scratch, [*engine, "--max_requests_per_second=20", *options], asked)
    print("\n".join(say(result)))
    return 1 if result.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
