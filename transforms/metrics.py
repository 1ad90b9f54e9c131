"""What a runner shows of the calls: counters, distributions and gauges, all in one namespace; and display data."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urlsplit

from apache_beam.io.components.adaptive_throttler import ThrottlingSignaler
from apache_beam.metrics import Metrics
from apache_beam.transforms.display import DisplayDataItem

from cardbeam.config.settings import Settings
from cardbeam.model.result import RequestOutcome, RequestResult

NAMESPACE = "cardbeam"
_COUNTERS = {
    RequestOutcome.SUCCEEDED: "requests_succeeded",
    RequestOutcome.DEAD_LETTERED: "requests_failed",
    RequestOutcome.DEFERRED: "requests_deferred",
    RequestOutcome.DUPLICATE: "duplicates_skipped",
    RequestOutcome.SKIPPED: "requests_skipped",
}


@cache
def _counter(name: str) -> Metrics.DelegatingCounter:
    """A counter adds to whatever bundle its thread is in, so one serves them all."""
    return Metrics.counter(NAMESPACE, name)


def count(name: str, number: int = 1) -> None:
    """Add to a counter, from within a bundle."""
    _counter(name).inc(number)


def record_publish_lags(lags_s: Iterable[float]) -> None:
    """Show how long responses of a watch waited for the tables, from within a bundle."""
    distribution = Metrics.distribution(NAMESPACE, "publish_lag_ms")
    for lag_s in lags_s:
        distribution.update(round(lag_s * 1000))


class CallMetrics:
    """Metrics of one bundle processor's calls."""

    def __init__(self) -> None:
        self._latency_ms = Metrics.distribution(NAMESPACE, "request_latency_ms")
        self._waited_ms = Metrics.distribution(NAMESPACE, "throttle_wait_ms")
        self._flush_ms = Metrics.distribution(NAMESPACE, "journal_flush_ms")
        self._rate = Metrics.gauge(NAMESPACE, "rate_share_per_minute")
        self._known = Metrics.gauge(NAMESPACE, "index_items")
        self._throttling = ThrottlingSignaler(NAMESPACE)
        self._throttled_s = 0.0

    def begin(self, rate_per_s: float, known: int) -> None:
        """Show this worker's share of the rate, and how many items its index holds; no limit is no share."""
        self._known.set(known)
        if rate_per_s < float("inf"):
            self._rate.set(round(rate_per_s * 60))

    def add(self, result: RequestResult) -> None:
        """Count one result."""
        count(_COUNTERS[result.outcome])
        if result.code:
            count(f"requests_failed_{result.code}")
        if result.attempts:
            count("calls_sent", result.attempts)
        if result.attempts > 1:
            count("requests_retried", result.attempts - 1)
        if result.latency_s is not None:
            self._latency_ms.update(round(result.latency_s * 1000))
            self._waited_ms.update(round(result.waited_s * 1000))
        self._signal(result.throttled_s)

    def flushed(self, seconds: float) -> None:
        """Note how long the journal took to make a bundle's records durable."""
        self._flush_ms.update(round(seconds * 1000))

    def _signal(self, throttled_s: float) -> None:
        """Tell the runner, which counts whole seconds; the rest is kept for the next time."""
        self._throttled_s += throttled_s
        whole_s = int(self._throttled_s)
        if whole_s:
            self._throttling.signal_throttled(whole_s)
            self._throttled_s -= whole_s


def display_data_of(settings: Settings) -> dict[str, DisplayDataItem]:
    """What a runner shows beside the calls; no path, no secret."""
    shown = {
        "endpoint_host": ("Endpoint", urlsplit(settings.endpoint.endpoint_url).hostname or ""),
        "max_requests_per_second": ("Rate limit per second", settings.rate.max_requests_per_second),
        "operation": ("Operation", settings.input.operation),
        "run_id": ("Run", settings.output.run_id),
        "version": ("cardbeam", _version()),
    }
    return {key: DisplayDataItem(value, label=label) for key, (label, value) in shown.items()}


def _version() -> str:
    try:
        return version("cardbeam")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
