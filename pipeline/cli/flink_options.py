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


class FlinkJobOptions(PipelineOptions):
    """What a job tells Flink beside what Beam's own options say."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        for names, kind in ((_NUMBERS, int), (_TEXTS, str)):
            for name, text in names.items():
                parser.add_argument(f"--{name}", type=kind, help=text)


def stays_open(options: PipelineOptions) -> bool:
    """Whether Flink keeps the job open once there is nothing more to do, as it does with checkpoints. Where its sources
    end instead, Beam's splittable DoFns work within Flink's last step, in which no checkpoint is taken."""
    flink: Any = options.view_as(FlinkJobOptions)
    return flink.checkpointing_interval is not None and flink.shutdown_sources_after_idle_ms is None
