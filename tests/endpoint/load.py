"""`python -m tests.endpoint.load`: thousands of mixed requests to a real endpoint, and what became of it.

Every operation and transfer, good cards and bad files, from many clients at once. A client that meets the full
queue's 503 waits and sends again. Ends with 1 where a response is any other HTTP 5xx or no response at all, where a
worker crashed, or where memory grew.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import requests
from PIL import Image

from schemas.contract import OPERATIONS, TRANSFERS
from tests.endpoint.conftest import ROOT, RunningEndpoint, running_endpoint
from tests.endpoint.hostile import HOSTILE, mutated, saved
from tests.endpoint.image_host import PAGES, ImageHost, image_host
from tests.endpoint.server.test_calls import call

SHARES = {"bundled": 0.83, "hostile": 0.05, "mutants": 0.1, "large": 0.02}
TOO_SLOW = {"noise", "dense text", "PDF content bomb", "PDF that draws itself", "PNG 5,000 x 5,000, 16 bit RGBA"}
"""Left out: they are about bounds, not about load."""
LARGE_MP = (12, 48)
MAX_GROWTH = 1.15
"""Memory of the last quarter against the second one."""


@dataclass
class Seen:
    """What the clients and the watcher saw; nothing is sent after `ends_at`, on the monotonic clock."""

    ends_at: float = float("inf")
    responses: Counter[str] = field(default_factory=Counter)
    turned_away: int = 0
    took_s: list[float] = field(default_factory=list)
    server_mb: list[float] = field(default_factory=list)
    workers_mb: list[float] = field(default_factory=list)
    peak_mb: Counter[str] = field(default_factory=Counter)
    pids: set[int] = field(default_factory=set)


def pages_of(cards: Path) -> dict[str, list[str]]:
    """Hand the bundled cards, accidents to them and hostile files to the image host; their paths by kind."""
    whole = {f"/{path.name}": path.read_bytes() for path in sorted(cards.iterdir()) if path.suffix != ".json"}
    with Image.open(cards / "chip-front-02.jpg") as opened:
        card = opened.convert("RGB")
    hostile = {f"/hostile-{n}": row.make(card) for n, row in enumerate(HOSTILE.values()) if row.name not in TOO_SLOW}
    mutants = {f"/mutant-{seed}": mutated(list(whole.values())[4 + seed % 16], seed) for seed in range(200)}
    large = {f"/large-{megapixels}": saved(of_size(card, megapixels), "JPEG", quality=90) for megapixels in LARGE_MP}
    kinds = {"bundled": whole, "hostile": hostile, "mutants": mutants, "large": large}
    for pages in kinds.values():
        PAGES.update(pages)
    return {kind: list(pages) for kind, pages in kinds.items()}


def of_size(card: Image.Image, megapixels: int) -> Image.Image:
    """The card as a camera of so many megapixels takes it."""
    larger = (megapixels * 1e6 / (card.width * card.height)) ** 0.5
    return card.resize((round(card.width * larger), round(card.height * larger)))


def one(endpoint: RunningEndpoint, host: ImageHost, pages: dict[str, list[str]], seed: int, seen: Seen) -> None:
    if time.monotonic() > seen.ends_at:
        return
    chosen = random.Random(seed)
    [kind] = chosen.choices(list(SHARES), list(SHARES.values()))
    operation, transfer = chosen.choice(list(OPERATIONS)), chosen.choice(TRANSFERS)
    sent = {name: chosen.choice(pages[kind]) for name in OPERATIONS[operation].image_params}
    while True:
        started = time.monotonic()
        try:
            response = call(endpoint, "v2", operation, transfer, sent, host, timeout_s=600)
        except requests.RequestException as error:
            seen.responses[type(error).__name__] += 1
            return
        if response.status_code != 503:
            break
        seen.turned_away += 1
        time.sleep(int(response.headers["Retry-After"]))
    seen.took_s.append(time.monotonic() - started)
    seen.responses[f"code {response.json()['errorCode']}" if response.ok else f"HTTP {response.status_code}"] += 1
    if not sum(seen.responses.values()) % 250:
        print(
            f"{dict(seen.responses)}, MB: server {seen.server_mb[-1]:.0f}, worker {seen.workers_mb[-1]:.0f}", flush=True
        )


def watch(endpoint: RunningEndpoint, seen: Seen, done: threading.Event) -> None:
    while not done.wait(1):
        workers = endpoint.workers()
        seen.server_mb.append(psutil.Process(endpoint.process.pid).memory_info().rss / 1e6)
        seen.workers_mb.append(max((worker.memory_info().rss / 1e6 for worker in workers), default=0))
        seen.pids |= {worker.pid for worker in workers}
        with suppress(OSError):  # a worker that has just ended
            peaks = {"server": peak_mb(endpoint.process.pid), "largest worker": max(peak_mb(w.pid) for w in workers)}
            seen.peak_mb |= peaks


def by_quarter(memory_mb: list[float]) -> list[float]:
    quarter = max(1, len(memory_mb) // 4)
    return [statistics.median(memory_mb[start * quarter : (start + 1) * quarter]) for start in range(4)]


def growth(memory_mb: list[float]) -> float:
    _, second, _, last = by_quarter(memory_mb)
    return last / second


def peak_mb(pid: int) -> int:
    """The most memory that a process ever held, as Linux tells it."""
    return _held_mb(pid, "VmHWM")


def own_peak_mb(pid: int) -> int:
    """The same without what it maps of files, now: libraries are shared with the system, and one that was written in
    large pieces stays in larger ones (47 or 78 MB of the reader's)."""
    return peak_mb(pid) - _held_mb(pid, "RssFile")


def _held_mb(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) * 1024 // 1_000_000  # what it calls kB are KiB


def report(seen: Seen, took_s: float, workers: int) -> int:
    times = sorted(seen.took_s)
    print(f"{sum(seen.responses.values())} requests in {took_s:.0f} s: {dict(seen.responses.most_common())}")
    print(f"HTTP 503, sent again after Retry-After: {seen.turned_away}")
    print(f"seconds a response: median {times[len(times) // 2]:.2f}, 99 % {times[len(times) * 99 // 100]:.2f}")
    for name, memory_mb in {"server": seen.server_mb, "largest worker": seen.workers_mb}.items():
        quarters = " -> ".join(f"{median:.0f}" for median in by_quarter(memory_mb))
        print(
            f"{name}, MB: medians of the quarters {quarters}, at most {max(memory_mb):.0f}, peak {seen.peak_mb[name]}"
        )
    print(f"worker processes seen: {len(seen.pids)}")
    good = {f"code {code}" for code in "013"}
    flat = max(growth(seen.server_mb), growth(seen.workers_mb)) < MAX_GROWTH
    return 0 if set(seen.responses) <= good and flat and len(seen.pids) == workers else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=86_400, help="send no more after so long, and report")
    parser.add_argument("--clients", type=int, default=70)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--reader", default="endpoint.reader.card_reader:CardReader")
    asked = parser.parse_args()
    seen, done = Seen(), threading.Event()
    options = (f"--workers={asked.workers}", "--allow_private_addresses")
    with (
        tempfile.TemporaryDirectory() as folder,
        image_host() as host,
        running_endpoint(Path(folder), *options, reader=asked.reader) as endpoint,
    ):
        pages = pages_of(ROOT / "cards")
        watcher = threading.Thread(target=watch, args=(endpoint, seen, done))
        watcher.start()
        started = time.monotonic()
        with ThreadPoolExecutor(asked.clients) as clients:
            seen.ends_at = started + asked.seconds
            list(clients.map(lambda seed: one(endpoint, host, pages, seed, seen), range(asked.requests)))
        took_s = time.monotonic() - started
        done.set()
        watcher.join()
        print(endpoint.log_path.read_text())
    return report(seen, took_s, asked.workers)


if __name__ == "__main__":
    sys.exit(main())
