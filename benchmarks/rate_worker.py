"""One worker of a run, as a runner's process has it, with endless work: `python -m benchmarks.rate_worker …`.

Its images are URLs that the endpoint would fetch, so that there is no end to them.
"""

from __future__ import annotations

import argparse
import itertools
import os
import uuid
from collections.abc import Iterator
from functools import partial

from cardbeam.calls.bounded_executor import InFlight
from cardbeam.calls.duplicates import InFlightDuplicates
from cardbeam.calls.worker import RESULT_BATCH, Session, Worker
from cardbeam.config.settings import EndpointSettings, InputSettings, OutputSettings, RateSettings, Settings
from cardbeam.http.card_client import Credentials
from cardbeam.index.processed_index import ProcessedIndex
from cardbeam.model.request import ImageRef, Request
from cardbeam.model.result import RequestResult


def _settings(asked: argparse.Namespace) -> Settings:
    return Settings(
        InputSettings(),
        EndpointSettings(endpoint_url=asked.url, transfer="url"),
        RateSettings(max_requests_per_second=asked.rate, max_in_flight=asked.in_flight),
        OutputSettings(output=asked.output, run_id="rate"),
    )


def _requests() -> Iterator[Request]:
    folder = f"https://images.example/{uuid.uuid4().hex}"
    for number in itertools.count():
        yield Request("ekyc/card", (ImageRef(f"{folder}/{number}.jpg"),))


def main() -> None:
    """Send until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--in_flight", type=int, default=0)
    parser.add_argument("--alone", action="store_true")
    asked = parser.parse_args()
    worker = Worker(_settings(asked), Session("bench", asked.alone), ProcessedIndex([]), Credentials("bench", "bench"))
    print("ready", flush=True)
    in_flight: InFlight[RequestResult] = InFlight(worker.executor, worker.limit, RESULT_BATCH)
    group = worker.open_bundle()[1].add(str(os.getpid()))
    for request in _requests():
        for _ in in_flight.submit(partial(worker.process, request, InFlightDuplicates(), group)):
            pass


if __name__ == "__main__":
    main()
