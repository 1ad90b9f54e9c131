"""`bench journal`: what making each answer durable costs, beside the same calls with the journal thrown away.

Real calls over a pool of threads, as a bundle makes them, in pairs with and without, every other pair the other way
round. The rate of a run varies by more than a journal costs, so beside the ratio of the rates stand two figures that
vary less: CPU of an answer with and without, and how long a call's thread waits in `append`, which is all that a
journal can take from the rate of calls in flight.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.images import write_images
from benchmarks.machine import endpoint, medians
from cardbeam.calls.bounded_executor import Held
from cardbeam.calls.duplicates import InFlightDuplicates
from cardbeam.calls.process_request import RequestProcessor
from cardbeam.calls.sender import Sender
from cardbeam.http.card_client import CardClient, Credentials
from cardbeam.http.retry import RetryPolicy
from cardbeam.index.load import load_index
from cardbeam.inputs.image_source import list_images
from cardbeam.journal.local_writer import LocalJournal
from cardbeam.journal.writer import Journal
from cardbeam.model.record import JournalRecord
from cardbeam.model.request import Request
from cardbeam.model.result import RequestOutcome
from cardbeam.ratelimit.throttle import Throttle
from cardbeam.run_state.stop_signal import StopSignal
from cardbeam.storage.folder import LocalFolder

_RUN = "bench"


class _NoJournal:
    """Keeps nothing."""

    def check(self) -> None:
        """There is nothing that could fail."""

    def append(self, record: JournalRecord) -> None:
        """Forget it."""

    def flush(self) -> None:
        """There is nothing."""

    def close(self) -> None:
        """There is nothing."""


class _Timed:
    """A journal, and the seconds that its callers wait for it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.waited_s: list[float] = []

    def check(self) -> None:
        """As the journal does."""
        self._journal.check()

    def append(self, record: JournalRecord) -> None:
        """Time the journal's own."""
        started_s = time.perf_counter()
        self._journal.append(record)
        self.waited_s.append(time.perf_counter() - started_s)

    def flush(self) -> None:
        """As the journal does."""
        self._journal.flush()

    def close(self) -> None:
        """As the journal does."""
        self._journal.close()


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Answers a second with the journal on and off, and their ratio."""
    parser = argparse.ArgumentParser(prog="run.sh bench journal", description=main.__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--image_bytes", type=int, default=219_000)
    parser.add_argument("--latency_s", type=float, default=0.3)
    parser.add_argument("--in_flight", type=int, default=64)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args(list(arguments))
    found: dict[str, list[dict[str, float]]] = {"on": [], "off": []}
    with tempfile.TemporaryDirectory() as scratch, endpoint(asked.latency_s) as server:
        write_images(Path(scratch, "in"), asked.images, asked.image_bytes)
        requests = [Request("ekyc/card", (image,)) for image in list_images(f"{scratch}/in/*.jpg")]
        for number in range(asked.runs):
            for name in ("on", "off") if number % 2 else ("off", "on"):
                folder = LocalFolder(f"{scratch}/{name}-{number}")
                journal = _Timed(LocalJournal(folder, _RUN) if name == "on" else _NoJournal())
                found[name].append(_run(requests, folder, journal, server.base_url, asked.in_flight))
    pairs = list(zip(found["on"], found["off"], strict=True))
    return {
        "settings": vars(asked),
        **{name: medians(runs) for name, runs in found.items()},
        "on_to_off": {name: _ratios(name, pairs) for name in ("per_s", "cpu_ms")},
        "rate_taken_at_most": round(medians(found["on"])["append_ms"] / 1000 / asked.latency_s, 4),
    }


def _ratios(name: str, pairs: Sequence[tuple[dict[str, float], dict[str, float]]]) -> dict[str, Any]:
    """A figure with the journal to the same without: of each pair, and their median."""
    ratios = [round(on[name] / off[name], 3) for on, off in pairs]
    return {"median": round(median(ratios), 3), "pairs": ratios}


def _run(
    requests: list[Request], folder: LocalFolder, journal: _Timed, base_url: str, threads: int
) -> dict[str, float]:
    client = CardClient(base_url, Credentials("bench", "bench"))
    policy, stop = RetryPolicy(1, 60.0), StopSignal(folder, _RUN)
    sender = Sender(client, Throttle(0.0), stop, policy, jitter=random.random, sleep=time.sleep, check=journal.check)
    processor = RequestProcessor(load_index(folder, _RUN), sender, journal)
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as executor:
        results = list(executor.map(partial(_process, processor), requests))
    journal.close()
    wall_s, cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
    if any(ending is not RequestOutcome.SUCCEEDED for ending in results):
        raise RuntimeError("a call was not answered")
    return {
        "per_s": round(len(requests) / wall_s, 2),
        "cpu_ms": round(cpu_s / len(requests) * 1000, 3),
        "append_ms": round(sum(journal.waited_s) / len(requests) * 1000, 3),
    }


def _process(processor: RequestProcessor, request: Request) -> RequestOutcome:
    ending = processor.process(request, InFlightDuplicates())
    return RequestOutcome.DEFERRED if isinstance(ending, Held) else ending.outcome
