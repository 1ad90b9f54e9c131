"""What Beam is told beside a user's own options."""

from __future__ import annotations

import pytest
from apache_beam.options.pipeline_options import DebugOptions
from apache_beam.runners.worker.sdk_worker_main import _get_data_buffer_time_limit_ms

from pipeline.cli.options import parse_run

NEEDED = ("--input=in/*.jpg", "--output=out", "--endpoint_url=http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("own", "limit_ms"), [((), 100), (("--experiments=data_buffer_time_limit_ms=7", "--experiments=mine"), 7)]
)
def test_workers_hand_on_soon_what_they_hold(own: tuple[str, ...], limit_ms: int) -> None:
    """They take our limit, or that of the user, whose other experiments stay."""
    _, options = parse_run("backfill", "", [*NEEDED, *own])
    experiments = options.view_as(DebugOptions).experiments
    assert (_get_data_buffer_time_limit_ms(experiments), "mine" in experiments) == (limit_ms, bool(own))
