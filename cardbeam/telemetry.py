"""Metrics by OpenTelemetry, in each process that calls, and in the one that launches.

They are on when `OTEL_EXPORTER_OTLP_ENDPOINT` is set and the extra `otel` is installed; the variables of OpenTelemetry
say where they go and how often. No metric has a URI, an id or anything that was read from a card.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import Any

_LOG = logging.getLogger("cardbeam")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
_INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"
_INTERVAL_MS = 15_000
_FLUSH_WITHIN_MS = 10_000
_COUNTERS = {
    "cardbeam.calls": "Requests sent, by outcome",
    "cardbeam.calls.retried": "Requests that were sent again, by the outcome that made them so",
    "cardbeam.images": "Images with a result, by status",
    "cardbeam.dead_letters": "Dead letters, by code",
}
_GAUGES = {
    "cardbeam.images.found": "Images found by the run",
    "cardbeam.backlog": "Images without a result",
    "cardbeam.lag": "Seconds for which the oldest image without a result waits",
    "cardbeam.oldest_unprocessed": "When the oldest image without a result was found, seconds since 1970",
    "cardbeam.rate.allowed": "Requests a second that the run may send; 0 is no limit",
    "cardbeam.rate.used": "Requests a second that the run sends",
    "cardbeam.cost": "Cost of the run so far",
}
_LATENCY, _IN_FLIGHT = "cardbeam.call.duration", "cardbeam.calls.in_flight"
NAMES = (*_COUNTERS, *_GAUGES, _LATENCY, _IN_FLIGHT)
"""Every metric."""


class _Meters:
    """The instruments of a process."""

    def __init__(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415  # an extra
            OTLPMetricExporter,
        )
        from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415

        interval_ms = float(os.environ.get(_INTERVAL, _INTERVAL_MS))
        reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=interval_ms)
        name = os.environ.get("OTEL_SERVICE_NAME", "cardbeam")
        self.provider = MeterProvider([reader], resource=Resource.create({"service.name": name}))
        meter = self.provider.get_meter("cardbeam")
        self.counters = {name: meter.create_counter(name, description=what) for name, what in _COUNTERS.items()}
        self.gauges = {name: meter.create_gauge(name, description=what) for name, what in _GAUGES.items()}
        self.latency = meter.create_histogram(_LATENCY, unit="s", description="Seconds from permit to last byte")
        self.in_flight = meter.create_up_down_counter(_IN_FLIGHT, description="Requests in flight")


_lock = threading.Lock()


def _meters() -> Any:
    with _lock:  # many threads make the first call
        return _open()


@cache
def _open() -> _Meters | None:
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return None
    try:
        return _Meters()
    except ImportError as error:
        _LOG.warning("no metrics: %s is not installed; pip install 'cardbeam[otel]'", error.name)
        return None


def is_on() -> bool:
    """Whether anybody asked for metrics."""
    return _meters() is not None


def call_begins() -> None:
    """A request is about to be sent."""
    if (meters := _meters()) is not None:
        meters.in_flight.add(1)


def call_ended(outcome: str, latency_s: float | None, *, is_retry: bool = False) -> None:
    """A request has its outcome; None of a latency where it was not sent."""
    if (meters := _meters()) is None:
        return
    meters.in_flight.add(-1)
    if latency_s is not None:
        about = {"outcome": outcome}
        meters.counters["cardbeam.calls"].add(1, about)
        meters.latency.record(latency_s, about)
        if is_retry:
            meters.counters["cardbeam.calls.retried"].add(1, about)


def image_completed(status: str, code: str | None) -> None:
    """An image has its record; `code` is that of a failure."""
    if (meters := _meters()) is not None:
        meters.counters["cardbeam.images"].add(1, {"status": status})
        if status == "failed":
            meters.counters["cardbeam.dead_letters"].add(1, {"code": code or "unknown"})


def observe(values: Iterable[tuple[str, float | None]]) -> None:
    """Set gauges of the run; None leaves one as it is."""
    if (meters := _meters()) is not None:
        for name, value in values:
            if value is not None:
                meters.gauges[f"cardbeam.{name}"].set(value)


def flush() -> None:
    """Send what was measured, before the process ends. A receiver that is away fails nothing."""
    if (meters := _meters()) is not None:
        with suppress(OSError):
            meters.provider.force_flush(_FLUSH_WITHIN_MS)
