"""A receiver gets every metric of a run, and no metric names an image."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pytest import MonkeyPatch

pytest.importorskip("opentelemetry.sdk", reason="OpenTelemetry is not installed: pip install 'cardbeam[otel]'")

from cardbeam import telemetry
from cardbeam.watch.watch_status import WatchStatus
from pipeline.commands import backfill
from pipeline.runs.display.run_metrics import observe_watch
from pipeline.runs.registry import Run
from tests.engines import install
from tests.otlp import Receiver
from tests.pipeline import cli
from tests.servers import Answer, CardServer, Received, failure, success

_MEASURED_WITHIN_S = 7.0
"""A watch measures every five seconds."""


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A receiver that this process sends its metrics to."""
    with Receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "200")
        telemetry._open.cache_clear()
        yield receiver
        meters = telemetry._open()
        assert meters is not None
        meters.provider.shutdown()
        telemetry._open.cache_clear()


def one_without_a_card_one_asked_twice(latency_s: float = 0.0) -> Callable[[Received], Answer]:
    """Of all images the first has no card, and the second is answered when it is asked again."""
    numbers: dict[str, int] = {}
    asked: Counter[str] = Counter()

    def answer(got: Received) -> Answer:
        number = numbers.setdefault(got.key, len(numbers))
        asked[got.key] += 1
        if number == 0:
            return failure("1")
        if number == 1 and asked[got.key] == 1:
            return Answer(status=500)
        return replace(success(("passport", {"id": "B1"})), latency_s=latency_s)

    return answer


@pytest.mark.usefixtures("credentials")
def test_a_backfill_sends_every_metric(tmp_path: Path, draw: Callable[..., bytes], receiver: Receiver) -> None:
    """With the values of its receipt: five images, of which one has no card, one is asked twice, one is a duplicate."""
    (tmp_path / "in").mkdir()
    for name, number in (("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 4)):
        (tmp_path / "in" / f"{name}.jpg").write_bytes(draw(number))
    with CardServer(one_without_a_card_one_asked_twice()) as server:
        shown = [f"--input={tmp_path}/in/*.jpg", f"--output={tmp_path}/out", f"--endpoint_url={server.base_url}"]
        assert backfill.main([*shown, "--price_per_call=0.5", "--max_requests_per_second=20"]) == 0
    found = receiver.found
    assert set(telemetry.NAMES) == set(found)
    assert receiver.services == {"cardbeam"}
    assert found["cardbeam.calls"] == {
        (("outcome", "succeeded"),): 3, (("outcome", "error_1"),): 1, (("outcome", "http_500"),): 1
    }  # fmt: skip
    assert found["cardbeam.calls.retried"] == {(("outcome", "succeeded"),): 1}
    assert sum(found["cardbeam.call.duration"].values()) == 5
    assert found["cardbeam.images"] == {
        (("status", "succeeded"),): 3, (("status", "failed"),): 1, (("status", "duplicate"),): 1
    }  # fmt: skip
    assert found["cardbeam.dead_letters"] == {(("code", "error_1"),): 1}
    gauges = {
        name: found[f"cardbeam.{name}"][()] for name in ("images.found", "backlog", "lag", "rate.allowed", "cost")
    }
    assert gauges == {"images.found": 5, "backlog": 0, "lag": 0, "rate.allowed": 20, "cost": 1.5}
    assert found["cardbeam.calls.in_flight"] == {(): 0}


def test_a_watch_sends_its_backlog_and_lag(receiver: Receiver) -> None:
    run = Run("w", "watch", "2026-11-24T01:00:00+00:00", allowed_per_s=20.0)
    observe_watch(run, WatchStatus(3, 2, oldest_at_s=90.0, succeeded_at_s=95.0), None, 100.0)
    telemetry.flush()
    found = {name: values[()] for name, values in receiver.found.items()}
    assert found == {
        **{"cardbeam.backlog": 5, "cardbeam.lag": 10, "cardbeam.oldest_unprocessed": 90, "cardbeam.rate.allowed": 20}
    }


@pytest.mark.slow
def test_a_watch_sends_every_metric(tmp_path: Path, draw: Callable[..., bytes], monkeypatch: MonkeyPatch) -> None:
    """A real one, from its processes: three images, of which one has no card and one is asked twice."""
    try:
        prism = install.prism()
    except install.NotInstalled as error:
        pytest.skip(str(error))
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{number}.jpg").write_bytes(draw(number))
    answer = one_without_a_card_one_asked_twice(latency_s=_MEASURED_WITHIN_S)  # so that an image waits when it measures
    with Receiver() as receiver, CardServer(answer) as server:
        monkeypatch.setitem(cli.ENVIRONMENT, "OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        monkeypatch.setitem(cli.ENVIRONMENT, "OTEL_METRIC_EXPORT_INTERVAL", "500")
        arguments = [f"--input={tmp_path}/in", f"--output={tmp_path}/out", f"--endpoint_url={server.base_url}"]
        arguments += ["--price_per_call=0.5", "--poll_interval_s=1", "--publish_interval_s=1"]
        child = cli.start("watch", *arguments, f"--prism_location={prism}")
        until_s = time.monotonic() + 240
        while not any((tmp_path / "out").glob("documents/type=passport/*/*.parquet")):
            assert child.poll() is None, child.communicate()
            assert time.monotonic() < until_s
            time.sleep(0.1)
        child.terminate()
        _, err = child.communicate(timeout=240)
    assert child.returncode == 0, err
    found = receiver.found
    assert set(found) == set(telemetry.NAMES)
    outcomes = {attributes[0][1]: count for attributes, count in found["cardbeam.calls"].items()}
    assert outcomes == {"succeeded": 2, "error_1": 1, "http_500": 1}
    assert found["cardbeam.dead_letters"] == {(("code", "error_1"),): 1}
    assert (found["cardbeam.images.found"][()], found["cardbeam.cost"][()]) == (3, 1.0)


def test_without_an_endpoint_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    telemetry._open.cache_clear()
    telemetry.call_begins()
    telemetry.call_ended("answered", 1.0)
    telemetry.image_completed("failed", "error_1")
    telemetry.observe([("cost", 1.0)])
    telemetry.flush()
    assert not telemetry.is_on()
