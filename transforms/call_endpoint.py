"""Requests that may be copies of each other -> Ending of each: the calls, many at a time.

The DoFn carries `settle` into threads. What is heavy or must be one for each process (the
session, the throttle, the journal, the index of what is answered) is shared by all DoFns
of the process.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import apache_beam as beam
import orjson
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.shared import Shared
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.answered import Answered, SharedAnswered
from transforms.card_client import CardClient, Credentials
from transforms.claims import Claims
from transforms.elements import Ending, Request
from transforms.in_flight import InFlight
from transforms.journal import Journal, open_journal
from transforms.retry import RetryPolicy
from transforms.send import Sender
from transforms.settings import Settings
from transforms.settle import Settler
from transforms.sources import CANNOT_OPEN, SourceError, open_source
from transforms.stop import StopSwitch
from transforms.storage import open_folder
from transforms.throttle import Throttle

_MAX_ELAPSED_S = 600.0


class CallEndpoint(beam.PTransform):
    """Groups of Requests -> Endings."""

    def __init__(self, settings: Settings, answered: SharedAnswered) -> None:
        super().__init__()
        self._settings, self._answered = settings, answered

    def expand(self, groups: beam.PCollection[tuple[str, Iterable[Request]]]) -> beam.PCollection[Ending]:
        """Settle each request of each group."""
        return groups | "Settle" >> beam.ParDo(_SettleFn(self._settings, self._answered, Shared()))


class Worker:
    """What the calls of one process share."""

    def __init__(self, settings: Settings, answered: Answered) -> None:
        folder, run_id = open_folder(settings.output.output), settings.output.run_id
        endpoint, rate = settings.endpoint, settings.rate
        self.journal: Journal = open_journal(folder, run_id, settings.output.journal_flush_s)
        self.most_in_flight = rate.max_in_flight
        self.executor = ThreadPoolExecutor(rate.max_in_flight, thread_name_prefix="call")
        client = CardClient(
            endpoint.endpoint_url,
            read_credentials(endpoint.credentials_uri),
            transfer=endpoint.transfer,
            get_thumb=endpoint.get_thumb,
            timeout_s=endpoint.timeout_s,
            connections=rate.max_in_flight,
        )
        sender = Sender(
            client,
            Throttle(rate.max_requests_per_second),
            StopSwitch(folder, run_id),
            RetryPolicy(endpoint.max_attempts, _MAX_ELAPSED_S),
            jitter=random.random,
            sleep=time.sleep,
            max_calls=rate.max_calls,
        )
        self.settler = Settler(
            answered,
            sender,
            self.journal,
            sends_urls=endpoint.transfer == "url",
            knows_by_source=settings.input.dedupe == "source",
        )


class _SettleFn(beam.DoFn):
    def __init__(self, settings: Settings, answered: SharedAnswered, shared: Shared) -> None:
        self._settings, self._answered, self._shared = settings, answered, shared
        self._calls_sent = Metrics.counter("cardbeam", "calls_sent")
        self._latency_ms = Metrics.distribution("cardbeam", "call_latency_ms")
        self._throttled_ms = Metrics.counter("cardbeam", "throttled_ms")

    def setup(self) -> None:
        self._worker: Worker = self._shared.acquire(lambda: Worker(self._settings, self._answered.get()))

    def start_bundle(self) -> None:
        worker = self._worker
        self._in_flight: InFlight[WindowedValue] = InFlight(worker.executor, worker.most_in_flight)

    def process(
        self,
        group: tuple[str, Iterable[Request]],
        timestamp: Timestamp = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
    ) -> Iterator[WindowedValue]:
        claims = Claims()
        for request in group[1]:
            work = partial(_settle, self._worker.settler, request, claims, timestamp, window)
            yield from map(self._count, self._in_flight.submit(work))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield from map(self._count, self._in_flight.drain())
        self._worker.journal.flush()

    def _count(self, ended: WindowedValue) -> WindowedValue:
        ending: Ending = ended.value
        self._calls_sent.inc(ending.attempts)
        self._throttled_ms.inc(round(ending.waited_s * 1000))
        if ending.latency_s is not None:
            self._latency_ms.update(round(ending.latency_s * 1000))
        return ended


def _settle(settler: Settler, request: Request, claims: Claims, timestamp: Timestamp, window: Any) -> WindowedValue:
    return WindowedValue(settler.settle(request, claims), timestamp, (window or GlobalWindow(),))


def read_credentials(uri: str | None) -> Credentials:
    """The credentials from a small JSON, or from the environment.

    Raises:
        SourceError: they are not there, or not of the form that is expected. The message holds no value.
    """
    if uri is None:
        found: Any = {name: os.environ.get(f"CARD_{name.upper()}") for name in ("api_key", "api_secret")}
        where = "the environment (CARD_API_KEY, CARD_API_SECRET)"
    else:
        where = f"--credentials_uri {uri}"
        try:
            with open_source(uri) as file:
                found = orjson.loads(file.read())
        except CANNOT_OPEN:  # a JSON error would quote the file
            raise SourceError(f"{where} cannot be read as JSON") from None
    values = [found.get(name) for name in ("api_key", "api_secret")] if isinstance(found, dict) else []
    texts = [value for value in values if isinstance(value, str) and value]
    if len(texts) != 2:
        raise SourceError(f"{where} holds no api_key and api_secret")
    return Credentials(*texts)
