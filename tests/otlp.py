"""An OpenTelemetry receiver on a loopback port that keeps the metrics it gets (OTLP by HTTP, protobuf)."""

from __future__ import annotations

from collections import defaultdict

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.post_server import PostServer


class Receiver(PostServer):
    """`found` are the newest values by metric and attributes."""

    def __init__(self) -> None:
        super().__init__(self.take)
        self.found: dict[str, dict[tuple[tuple[str, str], ...], float]] = defaultdict(dict)
        self.services: set[str] = set()

    @property
    def url(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT takes."""
        return self.root_url

    def take(self, body: bytes) -> int:
        """Keep one export."""
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            self.services |= {
                one.value.string_value for one in resource.resource.attributes if one.key == "service.name"
            }
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                data = getattr(metric, metric.WhichOneof("data"))
                for point in data.data_points:
                    about = tuple(sorted((one.key, one.value.string_value) for one in point.attributes))
                    if hasattr(point, "bucket_counts"):
                        value = float(point.count)
                    else:
                        value = float(getattr(point, point.WhichOneof("value")))
                    self.found[metric.name][about] = value
        return 200
