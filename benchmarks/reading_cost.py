"""What reading takes: peak memory of a process by what it reads, and two workers beside one, behind HTTP.

The images are a bundled card, as cameras and scanners of several sizes send it.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import requests
from PIL import Image

ROOT = Path(__file__).parents[1]
CARD = ROOT / "cards" / "chip-front-02.jpg"
IMAGES = 60
"""Read by one worker, and then by two."""
ROUNDS = 3
_KINDS: dict[str, tuple[float, str, str, dict[str, object]]] = {
    "JPEG, 2 megapixels": (2, "RGB", "JPEG", {"quality": 90}),
    "JPEG, 12": (12.2, "RGB", "JPEG", {"quality": 90}),
    "JPEG, 12, progressive": (12.2, "RGB", "JPEG", {"quality": 90, "progressive": True}),
    "JPEG, 12, CMYK": (12.2, "CMYK", "JPEG", {"quality": 90}),
    "JPEG, 48": (48, "RGB", "JPEG", {"quality": 90}),
    "JPEG, 24, progressive": (24, "RGB", "JPEG", {"quality": 90, "progressive": True}),
    "PNG, 12, transparent": (12.2, "RGBA", "PNG", {"compress_level": 1}),
    "PNG, 24, grey": (24, "L", "PNG", {"compress_level": 1}),
    "WebP, 9": (9, "RGB", "WEBP", {"method": 0}),
}
"""Megapixels, mode, format and how it is saved."""
_READ = """
import sys
from pathlib import Path
from endpoint.reader.card_reader import CardReader
reader, content = CardReader(), open(sys.argv[1], "rb").read()
card = open(sys.argv[2], "rb").read()
for image in (card, content, card, content):
    assert reader.read(image, get_thumb=True)
print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024 // 1_000_000)
"""
"""Its peak as Linux tells it, MB. What getrusage tells includes the process that started it, and the image there."""


def cost_of_reading() -> dict[str, Any]:
    """Figures of this machine, now: run it where nothing else runs."""
    return {"peak_mb": dict(_peaks()), "two_workers": two_workers()}


def _peaks() -> Iterator[tuple[str, int]]:
    """The most that a process held which read a card, the image, a card and the image again; MB."""
    with tempfile.TemporaryDirectory() as folder, Image.open(CARD) as card:
        for name, (megapixels, mode, kind, how) in _KINDS.items():
            larger = (megapixels * 1e6 / (card.width * card.height)) ** 0.5
            path = Path(folder) / "image"
            card.resize((round(card.width * larger), round(card.height * larger))).convert(mode).save(path, kind, **how)
            command = [sys.executable, "-c", _READ, str(path), str(CARD)]
            yield name, int(subprocess.run(command, capture_output=True, check=True, cwd=ROOT).stdout)


def two_workers() -> dict[str, Any]:
    """Cards a second by one worker and by two, in turns, and what a core did for a card on each side."""
    runs: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for workers, kept in runs.items():
            kept.append(_throughput(workers))
    middle = {workers: {key: median(run[key] for run in kept) for key in kept[0]} for workers, kept in runs.items()}
    ratios = [two["cards_per_s"] / one["cards_per_s"] for one, two in zip(runs[1], runs[2], strict=True)]
    return {"one": middle[1], "two": middle[2], "ratio": median(ratios), "ratios": ratios}


def _throughput(workers: int) -> dict[str, float]:
    content = base64.b64encode(CARD.read_bytes()).decode()
    with _endpoint(workers) as (base_url, process):

        def post(_: int) -> str:
            url = f"{base_url}/ekyc/card?format_type=base64"
            return str(session.post(url, json={"img": content}, timeout=120).json()["errorCode"])

        with requests.Session() as session, ThreadPoolExecutor(2 * workers) as clients:
            list(clients.map(post, range(2 * workers)))  # warm
            before, started = _cpu_s(process), time.monotonic()
            codes = set(clients.map(post, range(IMAGES * workers)))
            took_s, spent = time.monotonic() - started, _cpu_s(process)
    assert codes == {"0"}, codes
    cards = IMAGES * workers
    return {
        "cards_per_s": cards / took_s,
        "worker_cpu_ms": 1000 * (spent[1] - before[1]) / cards,
        "server_cpu_ms": 1000 * (spent[0] - before[0]) / cards,
        "worker_busy": (spent[1] - before[1]) / took_s / workers,
    }


def _cpu_s(process: psutil.Process) -> tuple[float, float]:
    """Processor time of the server itself and of its workers together."""
    children = [child for child in process.children() if "LokyProcess" in str(child.cmdline())]
    return sum(process.cpu_times()[:2]), sum(sum(child.cpu_times()[:2]) for child in children)


@contextmanager
def _endpoint(workers: int) -> Iterator[tuple[str, psutil.Process]]:
    command = [sys.executable, "-m", "endpoint", "--port=0", f"--workers={workers}", "--allow_anonymous"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), psutil.Process(process.pid)
        finally:
            process.terminate()


def printed_cost(cost: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = ["| a process that reads | peak MB |", "| --- | --- |"]
    lines += [f"| {name} | {peak} |" for name, peak in cost["peak_mb"].items()]
    lines += ["", "| workers | cards/s | CPU ms a card, worker | server | a worker is busy |", "| --- " * 5 + "|"]
    pair = cost["two_workers"]
    for workers in ("one", "two"):
        run = pair[workers]
        lines.append(
            f"| {workers} | {run['cards_per_s']:.2f} | {run['worker_cpu_ms']:.0f} | {run['server_cpu_ms']:.1f} "
            f"| {run['worker_busy']:.2f} |"
        )
    spread = ", ".join(f"{ratio:.2f}" for ratio in pair["ratios"])
    return "\n".join([*lines, "", f"two workers: {pair['ratio']:.2f} times one ({spread})"])


def main() -> int:
    """The cost alone, without a reading: `python -m benchmarks.reading_cost`."""
    print(printed_cost(cost_of_reading()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
