"""Options of Flink that Beam's job server reads from a job, and that Beam's Python side does not name itself."""

from __future__ import annotations

import argparse
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

_NUMBERS = {
    "checkpointing_interval": "Milliseconds from one checkpoint to the next; without it a job that Flink restarts "
    "begins again.",
    "checkpoint_timeout_millis": "Milliseconds after which a checkpoint is given up.",
    "min_pause_between_checkpoints": "Milliseconds from the end of a checkpoint to the next one.",
    "shutdown_sources_after_idle_ms": "Milliseconds after which a source that gives nothing more ends.",
    "number_of_execution_retries": "How often Flink restarts the job.",
    "execution_retry_delay": "Milliseconds before each restart.",
}
_TEXTS = {
    "checkpointing_mode": "EXACTLY_ONCE or AT_LEAST_ONCE.",
    "state_backend": "Where the job's state is kept: filesystem or rocksdb.",
    "state_backend_storage_path": "Where its checkpoints are kept.",
    "savepoint_path": "The savepoint to begin from.",
}

_IDLE_MS = 1000


class FlinkJobOptions(PipelineOptions):
    """What a job tells Flink beside what Beam's own options say."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        for names, kind in ((_NUMBERS, int), (_TEXTS, str)):
            for name, text in names.items():
                parser.add_argument(f"--{name}", type=kind, help=text)


def end_with_its_sources(options: PipelineOptions) -> None:
    """Have a job with checkpoints end once there is nothing more to do: Flink would keep its sources open for them."""
    flink: Any = options.view_as(FlinkJobOptions)
    if flink.checkpointing_interval is not None and flink.shutdown_sources_after_idle_ms is None:
        flink.shutdown_sources_after_idle_ms = _IDLE_MS
