"""A worker waits for no lease where the options say that no other process can call."""

from __future__ import annotations

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from transforms.call_endpoint import is_one_process


@pytest.mark.parametrize(
    ("options", "is_one"),
    [
        (["--runner=FnApiRunner", "--direct_running_mode=in_memory"], True),
        (["--runner=FnApiRunner", "--direct_running_mode=multi_threading"], True),
        (["--runner=FnApiRunner", "--direct_running_mode=multi_processing"], False),
        (["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"], True),
        (["--runner=PrismRunner"], True),
        (["--runner=PrismRunner", "--environment_type=PROCESS"], False),
        (["--runner=PrismRunner", "--experiments=use_loopback_process_worker"], False),
        (["--runner=FlinkRunner", "--flink_master=flink:8081"], False),
        (["--runner=FlinkRunner", "--flink_master=flink:8081", "--environment_type=PROCESS"], False),
        (["--runner=FlinkRunner", "--flink_master=flink:8081", "--environment_type=LOOPBACK"], True),
        (["--runner=PortableRunner", "--environment_type=EXTERNAL"], False),
        (["--runner=DataflowRunner"], False),
        (["--runner=DirectRunner"], False),
    ],
)
def test_is_one_process(options: list[str], is_one: bool) -> None:
    assert is_one_process(PipelineOptions(options)) is is_one
