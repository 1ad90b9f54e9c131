"""An OpenTelemetry receiver on a loopback port that keeps the metrics it gets (OTLP by HTTP, protobuf)."""

from __future__ import annotations

import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest


class Receiver:
    """Serves from `with` to its end; `found` are the newest values by metric and attributes."""

    def __init__(self) -> None:
        self.found: dict[str, dict[tuple[tuple[str, str], ...], float]] = defaultdict(dict)
        self.services: set[str] = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.take(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT takes."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def take(self, body: bytes) -> None:
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

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
